// A whole MobileOne (inference form) executed on the kernels alone, with seeded random weights:
// what the kernels can reach before any planner, binding or checkpoint is involved.
#pragma once

#include <cstdlib>
#include <string>
#include <vector>

#include "mobileone/base/thread_pool.hpp"
#include "mobileone/kernels/kernels.hpp"

namespace mobileone::kernels::benchmark {

/// Widths of the stem and the four stages, and how many of a stage's last blocks have
/// squeeze-and-excite (Vasu et al., MobileOne, 2023, table 2).
struct Variant {
  std::string name;
  int widths[5];
  int se_blocks[4];
};

const std::vector<Variant>& variants();

/// Blocks of the four stages, of all variants (the same table).
inline constexpr int kDepths[] = {2, 8, 10, 1};

/// Owns zeroed memory aligned to 2 MiB, so that the kernel can back it with huge pages.
class Buffer {
 public:
  explicit Buffer(std::size_t bytes = 0);
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  ~Buffer();
  float* get() const { return data_; }
  std::size_t bytes() const { return bytes_; }

 private:
  float* data_ = nullptr;
  std::size_t bytes_ = 0;
};

/// Weights in the order of the packing functions, kept for the reference.
struct PairWeights {
  std::vector<float> depthwise, depthwise_bias, pointwise, pointwise_bias;
  std::vector<float> reduce[2], reduce_bias[2], expand[2], expand_bias[2];  // [0] after depthwise
};

struct Block {
  Tiling tiling;
  BlockPlan plan;
  bool se = false;
  PairWeights weights;
  Buffer packed, packed_se[2];
  SqueezeExcite squeeze_excite[2];
  float* src = nullptr;  // maps in the network's buffers
  float* dst = nullptr;
};

class Network {
 public:
  Network(const KernelTable& table, const Variant& variant, int image_size, ThreadPool& pool);

  /// Chooses the tiling of block `index` and packs its weights.
  void set_tiling(int index, const Tiling& tiling);
  /// image [3][size][size] -> logits [1000].
  void run(const float* image, float* logits);
  void run_stem(const float* image);
  void run_block(int index);
  void run_head(float* logits);

  /// Runs step by step and compares every step with the float64 reference applied to the step's own
  /// input; returns the first mismatch, or an empty string.
  std::string check(const std::vector<float>& image);

  int num_blocks() const { return static_cast<int>(blocks_.size()); }
  const Block& block(int index) const { return blocks_[index]; }
  double macs() const;
  double stem_macs() const { return stem_.macs() + blocks_[0].plan.shape.macs(); }
  double head_macs() const { return double(linear_.in_features) * linear_.out_features; }

 private:
  void reserve_scratch(std::size_t bytes);
  std::string check_block(int index);

  float* scratch(int thread) const;
  template <typename Work>
  void parallel(int units, const Work& work) {
    if (!pool_.run(units, work)) std::abort();  // nobody else has this pool
  }

  const KernelTable& table_;
  ThreadPool& pool_;
  const std::ptrdiff_t next_floats_;
  StemPlan stem_;
  std::vector<float> stem_weight_, stem_bias_, linear_weight_, linear_bias_;
  LinearPlan linear_;
  Buffer stem_packed_, linear_packed_, scratch_, vectors_;
  std::size_t scratch_stride_ = 0;
  std::vector<Buffer> maps_;
  std::vector<Block> blocks_;
  float *sums_ = nullptr, *scale_ = nullptr, *hidden_ = nullptr, *mean_ = nullptr;
};

}  // namespace mobileone::kernels::benchmark
