#include "mobileone/backends/fused/patterns/channels_step.hpp"

#include <algorithm>
#include <array>

#include "mobileone/backends/fused/tiled_step.hpp"

namespace mobileone::fused {

namespace {

class ChannelsStep : public TiledStep {
 public:
  ChannelsStep(StepInfo info, const Work& work, kernels::ChannelMoves moves,
               std::vector<ValueId> sources)
      : TiledStep(std::move(info), work), moves_(std::move(moves)), sources_(std::move(sources)) {}
  Prefetching prefetching() const override { return Prefetching::passes_on; }

 protected:
  void run_units(const Buffers& buffers, const UnitRange& range) const override {
    std::array<const float*, kMaxChannelMaps> maps{};
    for (std::size_t i = 0; i < sources_.size(); ++i) {
      maps[i] = map_of(buffers, sources_[i], moves_.sources[i], range.image);
    }
    table().run_channel_moves(moves_, maps.data(),
                              map_of(buffers, work().map, moves_.dst, range.image), range.begin,
                              range.end);
  }

 private:
  kernels::ChannelMoves moves_;
  std::vector<ValueId> sources_;
};

void emit_map(NodeId id, const std::vector<NodeChannel>& channels, const LoweredOp& op,
              PlanBuilder& builder) {
  const std::vector<NodeId> sources = sources_of(channels);
  std::vector<kernels::MapShape> shapes;
  std::vector<ValueId> reads;
  for (NodeId source : sources) {
    shapes.push_back(map_shape(builder.shape(source)));
    reads.push_back(builder.in_layout(source, map_layout()));
  }
  std::vector<kernels::ChannelSource> from;
  for (const auto& [node, channel] : channels) {
    const auto place = std::ranges::find(sources, node) - sources.begin();
    from.push_back({static_cast<int>(place), channel});
  }
  kernels::ChannelMoves moves = kernels::plan_channel_moves(table().traits, shapes, from);
  TiledStep::Work work;
  work.map = builder.new_result(id, map_layout());
  work.map_shape = moves.dst;
  work.images = builder.shape(id)[0];
  work.units = moves.units();
  work.threads = builder.options().threads;
  StepInfo info = describe(op, builder, implementation("channels"));
  builder.add_step(std::make_unique<ChannelsStep>(std::move(info), work, std::move(moves), reads),
                   reads, {work.map});
}

}  // namespace

void emit_channels(const ChannelsMatch& match, PlanBuilder& builder) {
  for (const LoweredOp* op : match.ops) {
    const auto found = match.made.find(op->result);
    if (found != match.made.end()) emit_map(found->first, found->second, *op, builder);
  }
}

}  // namespace mobileone::fused
