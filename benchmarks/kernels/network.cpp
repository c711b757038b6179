#include "network.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <random>
#include <utility>

#include "mobileone/kernels/reference/reference.hpp"
#include "mobileone/kernels/tiling/cost_model.hpp"

namespace mobileone::kernels::benchmark {

const std::vector<Variant>& variants() {
  static const std::vector<Variant> all = {{"s0", {48, 48, 128, 256, 1024}, {}},
                                           {"s1", {64, 96, 192, 512, 1280}, {}},
                                           {"s2", {64, 96, 256, 640, 2048}, {}},
                                           {"s3", {64, 128, 320, 768, 2048}, {}},
                                           {"s4", {64, 192, 448, 896, 2048}, {0, 0, 5, 1}}};
  return all;
}

Buffer::Buffer(std::size_t bytes) : bytes_(bytes) {
  constexpr std::size_t kHugePage = std::size_t{2} << 20;
  const std::size_t rounded = (bytes + kHugePage - 1) / kHugePage * kHugePage;
  if (rounded == 0) return;
  data_ = static_cast<float*>(std::aligned_alloc(kHugePage, rounded));
  madvise(data_, rounded, MADV_HUGEPAGE);
  std::fill_n(data_, rounded / sizeof(float), 0.0f);
}
Buffer::Buffer(Buffer&& other) noexcept { *this = std::move(other); }
Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}
Buffer::~Buffer() { std::free(data_); }

namespace {

class Random {
 public:
  /// Normal values with the variance that keeps activations in range (He initialisation).
  std::vector<float> weights(std::size_t count, int fan_in) {
    std::normal_distribution<float> normal(0.0f, std::sqrt(2.0f / static_cast<float>(fan_in)));
    std::vector<float> out(count);
    for (float& x : out) x = normal(engine_);
    return out;
  }
  std::vector<float> bias(std::size_t count) {
    std::normal_distribution<float> normal(0.0f, 0.1f);
    std::vector<float> out(count);
    for (float& x : out) x = normal(engine_);
    return out;
  }

 private:
  std::mt19937 engine_{0};
};

PairWeights make_weights(const BlockShape& shape, bool se, Random& random) {
  PairWeights w;
  w.depthwise = random.weights(std::size_t(shape.channels_in) * 9, 9);
  w.depthwise_bias = random.bias(shape.channels_in);
  w.pointwise =
      random.weights(std::size_t(shape.channels_in) * shape.channels_out, shape.channels_in);
  w.pointwise_bias = random.bias(shape.channels_out);
  for (int i = 0; se && i < 2; ++i) {
    const int channels = i == 0 ? shape.channels_in : shape.channels_out, reduced = channels / 16;
    w.reduce[i] = random.weights(std::size_t(channels) * reduced, channels);
    w.reduce_bias[i] = random.bias(reduced);
    w.expand[i] = random.weights(std::size_t(channels) * reduced, reduced);
    w.expand_bias[i] = random.bias(channels);
  }
  return w;
}

}  // namespace

Network::Network(const KernelTable& table, const Variant& variant, int image_size, ThreadPool& pool)
    : table_(table), pool_(pool), next_floats_(next_step_floats(machine_model(table))) {
  Random random;
  stem_ = plan_stem(table.traits, image_size, image_size, variant.widths[0]);
  stem_weight_ = random.weights(std::size_t(stem_.channels) * kStemTaps, kStemTaps);
  stem_bias_ = random.bias(stem_.channels);
  stem_packed_ = Buffer(stem_.packed_bytes());
  pack_stem(stem_, stem_weight_.data(), stem_bias_.data(), stem_packed_.get());

  MapShape map = stem_.dst();
  float* src = nullptr;
  for (int stage = 0; stage < 4; ++stage) {
    float* ping_pong[2] = {};
    for (int i = 0; i < kDepths[stage]; ++i) {
      Block block;
      BlockShape& shape = block.plan.shape;
      shape.channels_in = map.channels;
      shape.channels_out = variant.widths[stage + 1];
      shape.height = map.height;
      shape.width = map.width;
      shape.stride = i == 0 ? 2 : 1;
      shape.depthwise_activation = shape.project.activation = Activation::kRelu;
      block.se = i >= kDepths[stage] - variant.se_blocks[stage];
      if (block.se) shape.excite = ExcitePlace::kBeforeActivation;
      map = shape.dst();
      if (i < 2) {
        maps_.emplace_back(sizeof(float) * static_cast<std::size_t>(map.num_floats()));
        ping_pong[i] = maps_.back().get();
      }
      block.src = src;
      block.dst = src = ping_pong[i % 2];
      block.weights = make_weights(block.plan.shape, block.se, random);
      for (int j = 0; block.se && j < 2; ++j) {
        const int channels = j == 0 ? block.plan.shape.channels_in : map.channels;
        SqueezeExcite& se = block.squeeze_excite[j];
        se = {channels, channels / 16, nullptr};
        block.packed_se[j] = Buffer(se.packed_floats() * sizeof(float));
        const PairWeights& w = block.weights;
        pack_squeeze_excite(channels, channels / 16, w.reduce[j].data(), w.reduce_bias[j].data(),
                            w.expand[j].data(), w.expand_bias[j].data(), block.packed_se[j].get());
        se.packed = block.packed_se[j].get();
      }
      blocks_.push_back(std::move(block));
      set_tiling(num_blocks() - 1, {Algorithm::kDirect, std::max(1, 224 / map.width)});
    }
  }
  linear_ = {map.channels, 1000, table.traits.linear_columns(), table.traits.per_lane};
  linear_weight_ = random.weights(std::size_t(map.channels) * 1000, map.channels);
  linear_bias_ = random.bias(1000);
  linear_packed_ = Buffer(linear_.packed_bytes());
  pack_linear(linear_, linear_weight_.data(), linear_bias_.data(), linear_packed_.get());
  vectors_ = Buffer(std::size_t(4 * padded(map.channels)) * sizeof(float));
  sums_ = vectors_.get();
  scale_ = sums_ + padded(map.channels);
  hidden_ = scale_ + padded(map.channels);
  mean_ = hidden_ + padded(map.channels);
}

// Each thread's scratch starts on a page of its own.
void Network::reserve_scratch(std::size_t bytes) {
  bytes = (bytes + 4095) / 4096 * 4096;
  if (bytes <= scratch_stride_) return;
  scratch_stride_ = bytes;
  scratch_ = Buffer(bytes * static_cast<std::size_t>(pool_.threads()));
}

float* Network::scratch(int thread) const {
  return scratch_.get() + static_cast<std::size_t>(thread) * (scratch_stride_ / sizeof(float));
}

void Network::set_tiling(int index, const Tiling& tiling) {
  Block& block = blocks_[index];
  block.tiling = tiling;
  block.plan = plan_block(table_.traits, block.plan.shape, tiling);
  block.packed = Buffer(block.plan.packed_bytes());
  const PairWeights& w = block.weights;
  pack_block(block.plan,
             {.depthwise = w.depthwise.data(),
              .depthwise_bias = w.depthwise_bias.data(),
              .project = w.pointwise.data(),
              .project_bias = w.pointwise_bias.data()},
             block.packed.get());
  reserve_scratch(index == 0 ? plan_stem_block(stem_, block.plan).scratch_bytes()
                             : block.plan.scratch_bytes());
}

void Network::run_stem(const float* image) {
  const StemBlockPlan plan = plan_stem_block(stem_, blocks_[0].plan);
  // A call computes one row of the stem more than it shares out: few, large ranges of tiles.
  const int parts = pool_.threads() == 1 ? 1 : std::min(2 * pool_.threads(), plan.block.tiles());
  parallel(parts, [&](int thread, int part) {
    const StemBlockArgs args{image, blocks_[0].dst, stem_packed_.get(), blocks_[0].packed.get(),
                             scratch(thread)};
    table_.run_stem_block(plan, args, plan.block.tiles() * part / parts,
                          plan.block.tiles() * (part + 1) / parts);
  });
}

void Network::run_block(int index) {
  const Block& block = blocks_[index];
  BlockArgs args;
  args.src = block.src;
  args.dst = block.dst;
  args.packed = block.packed.get();
  if (blocks_[index - 1].se) args.src_scale = scale_;
  if (block.se) {
    args.excite = &block.squeeze_excite[0];
    args.dst_sums = sums_;
    std::fill_n(sums_, padded(block.plan.shape.channels_out), 0.0f);
  }
  if (index + 1 < num_blocks()) {
    args.next_panel = blocks_[index + 1].packed.get();
    args.next_panel_floats = blocks_[index + 1].plan.first_floats();
  } else {
    args.next_data = linear_packed_.get();
    args.next_floats =
        std::min(next_floats_, std::ptrdiff_t(linear_.packed_bytes() / sizeof(float)));
  }
  if (index > 1) args.fetched_floats = block.plan.first_floats();
  parallel(block.plan.units(), [&](int thread, int unit) {
    BlockArgs mine = args;
    mine.scratch = scratch(thread);
    table_.run_block(block.plan, mine, unit, unit + 1);
  });
  if (block.se) {
    const BlockShape& shape = block.plan.shape;
    table_.squeeze_excite(block.squeeze_excite[1], sums_, shape.out_height() * shape.out_width(),
                          hidden_, scale_);
  }
}

void Network::run_head(float* logits) {
  const Block& last = blocks_.back();
  table_.global_pool(last.plan.shape.dst(), last.dst, last.se ? scale_ : nullptr, mean_);
  parallel(linear_.num_panels(), [&](int, int panel) {
    table_.linear(linear_, {mean_, 0, logits, 1, linear_packed_.get()}, panel, panel + 1);
  });
}

void Network::run(const float* image, float* logits) {
  const ScopedFlushDenormals flush;
  run_stem(image);
  for (int i = 1; i < num_blocks(); ++i) run_block(i);
  run_head(logits);
}

double Network::macs() const {
  double total = stem_.macs() + head_macs();
  for (const Block& block : blocks_) {
    total += block.plan.shape.macs();
    for (int i = 0; block.se && i < 2; ++i) {
      total += 2.0 * block.squeeze_excite[i].channels * block.squeeze_excite[i].reduced;
    }
  }
  return total;
}

namespace {

using reference::Map;

Map from_kernel(const MapShape& shape, const float* map) {
  std::vector<float> plain(std::size_t(shape.channels) * shape.height * shape.width);
  from_blocked(shape, map, plain.data());
  return reference::exact_map(shape.channels, shape.height, shape.width, plain);
}

Map exact_vector(int channels, const float* values) {
  return reference::exact_map(channels, 1, 1, std::vector<float>(values, values + channels));
}

Map scale_of(const Map& map, const PairWeights& w, int which) {
  const SqueezeExcite se{map.channels, static_cast<int>(w.reduce_bias[which].size())};
  return reference::squeeze_excite_scale(se, reference::mean(map), w.reduce[which],
                                         w.reduce_bias[which], w.expand[which],
                                         w.expand_bias[which]);
}

// Both convolutions; returns the output before its ReLU.
Map reference_block(const Block& block, const Map& src) {
  const BlockShape& shape = block.plan.shape;
  const PairWeights& w = block.weights;
  Map t = reference::conv(src, shape.channels_in, {3, shape.stride, true}, w.depthwise,
                          w.depthwise_bias);
  if (block.se) reference::multiply(t, scale_of(t, w, 0));
  reference::activate(Activation::kRelu, t);
  Map out = reference::conv1x1(t, shape.channels_out, w.pointwise, w.pointwise_bias);
  if (block.plan.project.strassen()) {
    const double bound = reference::strassen_bound(t, w.pointwise, w.pointwise_bias);
    std::fill(out.bound.begin(), out.bound.end(), bound);
  }
  return out;
}

}  // namespace

std::string Network::check_block(int index) {
  const Block& block = blocks_[index];
  Map src = from_kernel(block.plan.shape.src(), block.src);
  if (blocks_[index - 1].se) reference::multiply(src, exact_vector(src.channels, scale_));
  run_block(index);
  Map expected = reference_block(block, src);
  if (block.se) {
    const Map scale = scale_of(expected, block.weights, 1);
    const std::string wrong = reference::mismatch(scale, scale_);
    if (!wrong.empty()) return "scale of block " + std::to_string(index) + ", " + wrong;
  }
  reference::activate(Activation::kRelu, expected);
  std::vector<float> got(expected.value.size());
  from_blocked(block.plan.shape.dst(), block.dst, got.data());
  const std::string wrong = reference::mismatch(expected, got.data());
  return wrong.empty() ? wrong : "block " + std::to_string(index) + ", " + wrong;
}

std::string Network::check(const std::vector<float>& image) {
  run_stem(image.data());
  Map stem = reference::conv(reference::exact_map(kImageChannels, stem_.height, stem_.width, image),
                             stem_.channels, {3, 2, false}, stem_weight_, stem_bias_);
  reference::activate(Activation::kRelu, stem);
  Map first = reference_block(blocks_[0], stem);
  reference::activate(Activation::kRelu, first);
  std::vector<float> got(first.value.size());
  from_blocked(blocks_[0].plan.shape.dst(), blocks_[0].dst, got.data());
  std::string wrong = reference::mismatch(first, got.data());
  if (!wrong.empty()) return "stem and block 0, " + wrong;
  for (int i = 1; i < num_blocks(); ++i) {
    wrong = check_block(i);
    if (!wrong.empty()) return wrong;
  }
  std::vector<float> logits(1000);
  run_head(logits.data());
  const Block& last = blocks_.back();
  Map pooled = reference::mean(from_kernel(last.plan.shape.dst(), last.dst));
  if (last.se) reference::multiply(pooled, exact_vector(pooled.channels, scale_));
  const Map expected = reference::conv1x1(pooled, 1000, linear_weight_, linear_bias_);
  wrong = reference::mismatch(expected, logits.data());
  return wrong.empty() ? wrong : "logits, " + wrong;
}

}  // namespace mobileone::kernels::benchmark
