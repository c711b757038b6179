#include <array>
#include <atomic>
#include <cmath>

#include "mobileone/backends/onednn/memory.hpp"
#include "mobileone/backends/onednn/primitive_step.hpp"
#include "mobileone/backends/onednn/steps.hpp"
#include "mobileone/backends/onednn/team.hpp"

// Scores, softmax and weighted sum of one tile of queries of one head at a time, on strided views
// of the packed projections. Each thread takes whole tiles, whose scores stay in its cache.
namespace mobileone::onednn {

namespace {

using Desc = dnnl::memory::desc;

// Scores of a tile: 256 KiB, so that its memory does not grow with the square of the image.
constexpr std::int64_t kScores = 65536;

// Sizes of [sequences, tokens, 3 width], and how the queries are cut up.
struct Geometry {
  std::int64_t sequences, tokens, width, heads;
  std::int64_t rows;  // queries per tile; the last tile may have fewer

  Geometry(const Shape& packed, std::int64_t head_count)
      : sequences(packed[0]), tokens(packed[1]), width(packed[2] / 3), heads(head_count) {
    const std::int64_t wanted = (tokens * tokens + kScores - 1) / kScores;
    rows = (tokens + wanted - 1) / wanted;
  }
  std::int64_t head_size() const { return width / heads; }
  std::int64_t tiles() const { return (tokens + rows - 1) / rows; }
  std::int64_t last_rows() const { return tokens - (tiles() - 1) * rows; }
  std::int64_t tasks() const { return sequences * heads * tiles(); }
};

// The primitives for tiles of one height.
struct Kernel {
  Desc queries, keys, scores, values, result;
  dnnl::matmul::primitive_desc scores_desc, sum_desc;
  dnnl::softmax_forward::primitive_desc softmax_desc;

  Kernel(const Geometry& g, std::int64_t rows) {
    const std::int64_t size = g.head_size(), tokens = g.tokens, stride = 3 * g.width;
    constexpr auto kFloat = dnnl::memory::data_type::f32;
    queries = Desc({rows, size}, kFloat, {stride, 1});
    keys = Desc({size, tokens}, kFloat, {1, stride});
    scores = plain_desc({rows, tokens});
    values = Desc({tokens, size}, kFloat, {stride, 1});
    result = Desc({rows, size}, kFloat, {g.width, 1});
    dnnl::post_ops scaled;
    scaled.append_eltwise(dnnl::algorithm::eltwise_linear,
                          static_cast<float>(1.0 / std::sqrt(static_cast<double>(size))), 0.f);
    dnnl::engine& engine = cpu_engine();
    scores_desc = {engine, queries, keys, scores, attributes_with(std::nullopt, scaled)};
    softmax_desc = {engine,
                    dnnl::prop_kind::forward_inference,
                    dnnl::algorithm::softmax_accurate,
                    scores,
                    scores,
                    1,
                    strict_attributes()};
    sum_desc = {engine, scores, values, result, strict_attributes()};
  }

  std::size_t scratchpad_bytes() const {
    return std::max({scores_desc.scratchpad_desc().get_size(),
                     softmax_desc.scratchpad_desc().get_size(),
                     sum_desc.scratchpad_desc().get_size()});
  }
};

// A kernel with one thread's memory objects; addresses are set for each tile.
class BoundKernel {
 public:
  BoundKernel(const Kernel& kernel, std::byte* scores, std::byte* scratchpad)
      : queries_(kernel.queries, cpu_engine(), nullptr),
        keys_(kernel.keys, cpu_engine(), nullptr),
        scores_(kernel.scores, cpu_engine(), scores),
        values_(kernel.values, cpu_engine(), nullptr),
        result_(kernel.result, cpu_engine(), nullptr) {
    const auto add = [&](std::size_t index, const auto& primitive, const Desc& scratch,
                         std::vector<dnnl_exec_arg_t> arguments) {
      scratchpads_[index] = dnnl::memory(scratch, cpu_engine(), scratchpad);
      arguments.push_back({DNNL_ARG_SCRATCHPAD, scratchpads_[index].get()});
      primitives_[index] = primitive;
      arguments_[index] = std::move(arguments);
    };
    add(0, dnnl::matmul(kernel.scores_desc), kernel.scores_desc.scratchpad_desc(),
        {{DNNL_ARG_SRC, queries_.get()},
         {DNNL_ARG_WEIGHTS, keys_.get()},
         {DNNL_ARG_DST, scores_.get()}});
    add(1, dnnl::softmax_forward(kernel.softmax_desc), kernel.softmax_desc.scratchpad_desc(),
        {{DNNL_ARG_SRC, scores_.get()}, {DNNL_ARG_DST, scores_.get()}});
    add(2, dnnl::matmul(kernel.sum_desc), kernel.sum_desc.scratchpad_desc(),
        {{DNNL_ARG_SRC, scores_.get()},
         {DNNL_ARG_WEIGHTS, values_.get()},
         {DNNL_ARG_DST, result_.get()}});
  }

  // No exception: it runs inside a parallel region.
  dnnl_status_t run(float* queries, float* keys, float* values, float* result) {
    queries_.set_data_handle(queries);
    keys_.set_data_handle(keys);
    values_.set_data_handle(values);
    result_.set_data_handle(result);
    for (std::size_t i = 0; i < primitives_.size(); ++i) {
      const dnnl_status_t status =
          dnnl_primitive_execute(primitives_[i].get(), thread_stream().get(),
                                 static_cast<int>(arguments_[i].size()), arguments_[i].data());
      if (status != dnnl_success) return status;
    }
    return dnnl_success;
  }

 private:
  dnnl::memory queries_, keys_, scores_, values_, result_;
  std::array<dnnl::memory, 3> scratchpads_;
  std::array<dnnl::primitive, 3> primitives_;
  std::array<std::vector<dnnl_exec_arg_t>, 3> arguments_;
};

struct AttentionSpec {
  Geometry geometry;
  Kernel tile, last_tile;
  ValueId src, dst;
  int threads;

  std::size_t scores_bytes() const { return tile.scores.get_size(); }
  std::size_t thread_bytes() const {
    const std::size_t bytes =
        scores_bytes() + std::max(tile.scratchpad_bytes(), last_tile.scratchpad_bytes());
    return (bytes + 63) / 64 * 64;
  }
};

class BoundAttention : public BoundStep {
 public:
  BoundAttention(const AttentionSpec& spec, const Buffers& buffers)
      : spec_(spec), buffers_(buffers) {
    for (int thread = 0; thread < spec.threads; ++thread) {
      std::byte* scores =
          buffers.scratch() + static_cast<std::size_t>(thread) * spec.thread_bytes();
      std::byte* scratchpad = scores + spec.scores_bytes();
      tiles_.emplace_back(spec.tile, scores, scratchpad);
      last_tiles_.emplace_back(spec.last_tile, scores, scratchpad);
    }
  }

  void run() override {
    const TeamScope scope(spec_.threads);
    auto* src = static_cast<float*>(buffers_.address(spec_.src));
    auto* dst = static_cast<float*>(buffers_.address(spec_.dst));
    const int threads = spec_.threads;
    std::atomic<dnnl_status_t> status{dnnl_success};
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (std::int64_t task = 0; task < spec_.geometry.tasks(); ++task) {
      const dnnl_status_t result = run_tile(task, src, dst);
      if (result != dnnl_success) status = result;
    }
    dnnl::error::wrap_c_api(status, "a oneDNN primitive of attention failed");
  }

 private:
  dnnl_status_t run_tile(std::int64_t task, float* src, float* dst) {
    const Geometry& g = spec_.geometry;
    const std::int64_t tile = task % g.tiles(), head = task / g.tiles() % g.heads;
    const std::int64_t sequence = task / g.tiles() / g.heads;
    const std::int64_t token = sequence * g.tokens, query = token + tile * g.rows;
    const std::int64_t stride = 3 * g.width, column = head * g.head_size();
    auto& kernels = tile + 1 == g.tiles() ? last_tiles_ : tiles_;
    BoundKernel& kernel = kernels[static_cast<std::size_t>(omp_get_thread_num())];
    return kernel.run(src + query * stride + column, src + token * stride + g.width + column,
                      src + token * stride + 2 * g.width + column, dst + query * g.width + column);
  }

  const AttentionSpec& spec_;
  const Buffers& buffers_;
  std::vector<BoundKernel> tiles_, last_tiles_;
};

class AttentionStep : public Step {
 public:
  AttentionStep(StepInfo info, AttentionSpec spec)
      : Step(std::move(info)), spec_(std::move(spec)) {}

  std::size_t scratch_bytes() const override {
    return static_cast<std::size_t>(spec_.threads) * spec_.thread_bytes();
  }
  std::unique_ptr<BoundStep> bind(const Buffers& buffers) const override {
    return std::make_unique<BoundAttention>(spec_, buffers);
  }

 private:
  AttentionSpec spec_;
};

}  // namespace

void emit(const Attention& attention, const LoweredOp& op, PlanBuilder& builder) {
  const NodeId input = builder.node(op.node).inputs[0];
  const ValueId src = builder.value_of(input);
  const ValueId dst = builder.new_result(op.result, Layout::nchw());
  const Geometry geometry(builder.shape(input), attention.heads);
  const TeamScope one_thread(1);  // that runs a tile
  AttentionSpec spec{
      geometry, Kernel(geometry, geometry.rows), Kernel(geometry, geometry.last_rows()), src,
      dst,      builder.options().threads};
  const std::string name = implementation_name(spec.tile.scores_desc);
  builder.add_step(std::make_unique<AttentionStep>(describe(op, builder, name), std::move(spec)),
                   {src}, {dst});
}

}  // namespace mobileone::onednn
