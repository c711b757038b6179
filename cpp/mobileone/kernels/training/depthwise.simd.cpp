#include "mobileone/kernels/training/depthwise.hpp"

#include "mobileone/kernels/entry_points.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

// Half a channel block at a time where a vector holds 8 floats: `lane` is 0 or 8.
constexpr int kParts = kBlock / kLanes;

// The three rows of x that an output row's taps read, less `shift`, with a pixel of padding on
// either side: what padding holds is -shift.
class RowRing {
 public:
  RowRing(const DepthwiseTraining& shape, const float* x, Vec shift, float* memory)
      : shape_(shape), x_(x), shift_(shift), memory_(memory) {}

  // Rows stride * y - 1 and on, for output rows y = 0, 1, ... in turn.
  void advance(int y) {
    const int last = y * shape_.stride + 1;
    for (; filled_ <= last; ++filled_) fill(filled_);
  }
  // Tap (r, 0) of the first output pixel of row y.
  const float* row(int y, int r) const { return slot(y * shape_.stride + r - 1); }
  std::ptrdiff_t step() const { return std::ptrdiff_t{shape_.stride} * kLanes; }

 private:
  float* slot(int row) const {
    return memory_ + (row + 1) % 3 * ((std::ptrdiff_t{shape_.width} + 3) * kLanes);
  }
  void fill(int row) {
    float* const to = slot(row);
    const Vec padding = sub(zero(), shift_);
    const bool outside = row < 0 || row >= shape_.height;
    store(to, padding);
    for (int i = 0; i < shape_.width; ++i) {
      const float* const from = x_ + (std::ptrdiff_t{row} * shape_.width + i) * kBlock;
      store(to + (i + 1) * kLanes, outside ? padding : sub(load(from), shift_));
    }
    store(to + (shape_.width + 1) * kLanes, padding);
    store(to + (shape_.width + 2) * kLanes, padding);
  }

  const DepthwiseTraining& shape_;
  const float* x_;
  Vec shift_;
  float* memory_;
  int filled_ = -1;
};

template <int kPixels>
__attribute__((always_inline)) inline void forward_pixels(const float* const (&rows)[3],
                                                          std::ptrdiff_t step,
                                                          const Vec (&w)[kTaps], Vec bias,
                                                          Vec floor, float* y) {
  Vec acc[kPixels];
#pragma GCC unroll 4
  for (int p = 0; p < kPixels; ++p) acc[p] = bias;
#pragma GCC unroll 9
  for (int t = 0; t < kTaps; ++t) {
#pragma GCC unroll 4
    for (int p = 0; p < kPixels; ++p) {
      acc[p] = fma(load(rows[t / 3] + t % 3 * kLanes + p * step), w[t], acc[p]);
    }
  }
#pragma GCC unroll 4
  for (int p = 0; p < kPixels; ++p) store(y + p * kBlock, max(floor, acc[p]));
}

}  // namespace

void depthwise_forward(const DepthwiseForward& args) {
  const int width = args.shape.out_width(), height = args.shape.out_height();
  for (int lane = 0; lane < kBlock; lane += kLanes) {
    Vec w[kTaps];
    for (int t = 0; t < kTaps; ++t) w[t] = load(args.weights + t * kBlock + lane);
    const Vec bias = load(args.bias + lane), floor = broadcast(args.floor);
    RowRing ring(args.shape, args.x + lane, zero(), args.scratch);
    float* y = args.y + lane;
    for (int row = 0; row < height; ++row) {
      ring.advance(row);
      const float* rows[3] = {ring.row(row, 0), ring.row(row, 1), ring.row(row, 2)};
      const std::ptrdiff_t step = ring.step();
      int i = 0;
      for (; i + 4 <= width; i += 4, y += 4 * kBlock) {
        forward_pixels<4>(rows, step, w, bias, floor, y);
        for (const float*& from : rows) from += 4 * step;
      }
      for (; i < width; ++i, y += kBlock) {
        forward_pixels<1>(rows, step, w, bias, floor, y);
        for (const float*& from : rows) from += step;
      }
    }
  }
}

namespace {

// Products of the taps of two rows of patches over one output row; of one row with itself, those
// of t <= t' only. kFirst: also the sums of the first row's taps.
template <int kA, int kB>
__attribute__((noinline)) void row_moments(const float* a, const float* b, std::ptrdiff_t step,
                                           int width, float* sums) {
  Vec acc[3][3], total[3];
#pragma GCC unroll 3
  for (int i = 0; i < 3; ++i) {
    total[i] = zero();
#pragma GCC unroll 3
    for (int j = 0; j < 3; ++j) acc[i][j] = zero();
  }
  for (int pixel = 0; pixel < width; ++pixel, a += step, b += step) {
    Vec left[3], right[3];
#pragma GCC unroll 3
    for (int i = 0; i < 3; ++i) {
      left[i] = load(a + i * kLanes);
      right[i] = kA == kB ? left[i] : load(b + i * kLanes);
    }
#pragma GCC unroll 3
    for (int i = 0; i < 3; ++i) {
      if (kA == kB) total[i] = add(total[i], left[i]);
#pragma GCC unroll 3
      for (int j = kA == kB ? i : 0; j < 3; ++j) acc[i][j] = fma(left[i], right[j], acc[i][j]);
    }
  }
#pragma GCC unroll 3
  for (int i = 0; i < 3; ++i) {
    if (kA == kB) {
      float* const at = sums + (kA * 3 + i) * kBlock;
      store(at, add(load(at), total[i]));
    }
#pragma GCC unroll 3
    for (int j = kA == kB ? i : 0; j < 3; ++j) {
      float* const at = sums + (kTaps + tap_pair(kA * 3 + i, kB * 3 + j)) * kBlock;
      store(at, add(load(at), acc[i][j]));
    }
  }
}

}  // namespace

void depthwise_moments(const DepthwiseMoments& args) {
  const int width = args.shape.out_width(), height = args.shape.out_height();
  for (int lane = 0; lane < kBlock; lane += kLanes) {
    RowRing ring(args.shape, args.x + lane, load(args.shift + lane), args.scratch);
    float* const sums = args.sums + lane;
    for (int row = 0; row < height; ++row) {
      ring.advance(row);
      const float* const a = ring.row(row, 0);
      const float* const b = ring.row(row, 1);
      const float* const c = ring.row(row, 2);
      const std::ptrdiff_t step = ring.step();
      row_moments<0, 0>(a, a, step, width, sums);
      row_moments<1, 1>(b, b, step, width, sums);
      row_moments<2, 2>(c, c, step, width, sums);
      row_moments<0, 1>(a, b, step, width, sums);
      row_moments<0, 2>(a, c, step, width, sums);
      row_moments<1, 2>(b, c, step, width, sums);
    }
  }
}

void depthwise_weight_gradient(const DepthwiseWeightGradient& args) {
  const int width = args.shape.out_width(), height = args.shape.out_height();
  for (int lane = 0; lane < kBlock; lane += kLanes) {
    RowRing ring(args.shape, args.x + lane, zero(), args.scratch);
    float* const sums = args.sums + lane;
    const float* g = args.g + lane;
    for (int row = 0; row < height; ++row) {
      ring.advance(row);
      const float* rows[3] = {ring.row(row, 0), ring.row(row, 1), ring.row(row, 2)};
      Vec acc[kTaps], total = zero();
#pragma GCC unroll 9
      for (int t = 0; t < kTaps; ++t) acc[t] = zero();
      for (int pixel = 0; pixel < width; ++pixel, g += kBlock) {
        const Vec value = load(g);
        total = add(total, value);
#pragma GCC unroll 9
        for (int t = 0; t < kTaps; ++t) {
          acc[t] = fma(load(rows[t / 3] + t % 3 * kLanes), value, acc[t]);
        }
        for (const float*& from : rows) from += ring.step();
      }
#pragma GCC unroll 9
      for (int t = 0; t < kTaps; ++t) {
        float* const at = sums + t * kBlock;
        store(at, add(load(at), acc[t]));
      }
      store(sums + kTaps * kBlock, add(load(sums + kTaps * kBlock), total));
    }
  }
}

namespace {

// One output row of the patches' gradients, tap by tap: q is [9][width].
struct PatchGradient {
  const float* const* rows;  // of x - shift; null: weights alone
  std::ptrdiff_t step;
  const float* g;
  const float* weights;
  const float* s;
  const float* constant;
  int width;
  float* q;

  template <int kPixels>
  __attribute__((always_inline)) void pixels(int first) const {
#pragma GCC unroll 1
    for (int t = 0; t < kTaps; ++t) {
      const Vec weight = load(weights + t * kBlock);
      const Vec start = s == nullptr ? zero() : load(constant + t * kBlock);
      Vec acc[kPixels];
#pragma GCC unroll 4
      for (int p = 0; p < kPixels; ++p) {
        acc[p] = fma(weight, load(g + (first + p) * kBlock), start);
      }
      if (s != nullptr) {
        const float* const factors = s + t * kTaps * kBlock;
#pragma GCC unroll 9
        for (int other = 0; other < kTaps; ++other) {
          const Vec factor = load(factors + other * kBlock);
          const float* const from = rows[other / 3] + other % 3 * kLanes + first * step;
#pragma GCC unroll 4
          for (int p = 0; p < kPixels; ++p) acc[p] = fma(factor, load(from + p * step), acc[p]);
        }
      }
#pragma GCC unroll 4
      for (int p = 0; p < kPixels; ++p) store(q + (t * width + first + p) * kLanes, acc[p]);
    }
  }
  void run() const {
    int i = 0;
    for (; i + 4 <= width; i += 4) pixels<4>(i);
    for (; i < width; ++i) pixels<1>(i);
  }
};

}  // namespace

void depthwise_input_gradient(const DepthwiseInputGradient& args) {
  const DepthwiseTraining& shape = args.shape;
  const int width = shape.out_width(), height = shape.out_height(), stride = shape.stride;
  const std::ptrdiff_t row_floats = (std::ptrdiff_t{shape.width} + 3) * kLanes;
  const bool moments = args.s != nullptr;
  for (int lane = 0; lane < kBlock; lane += kLanes) {
    const Vec shift = moments ? load(args.shift + lane) : zero();
    RowRing ring(shape, moments ? args.x + lane : nullptr, shift, args.scratch);
    float* const sums = args.scratch + 3 * row_floats;
    float* const q = sums + 3 * row_floats;
    const auto slot = [&](int row) { return sums + (row + 1) % 3 * row_floats; };
    const auto clear = [&](int row) {
      for (int i = 0; i < shape.width + 3; ++i) store(slot(row) + i * kLanes, zero());
    };
    int begun = -1, written = 0;
    const auto finish = [&](int end) {
      for (; written < end && written < shape.height; ++written) {
        const float* const from = slot(written) + kLanes;
        const std::ptrdiff_t at = std::ptrdiff_t{written} * shape.width * kBlock + lane;
        for (int i = 0; i < shape.width; ++i) {
          const Vec value = load(from + i * kLanes);
          store(args.dx + at + i * kBlock,
                args.masked ? where_positive(load(args.x + at + i * kBlock), value) : value);
        }
      }
    };
    for (int row = 0; row < height; ++row) {
      for (; begun <= row * stride + 1; ++begun) clear(begun);
      const float* rows[3] = {nullptr, nullptr, nullptr};
      if (moments) {
        ring.advance(row);
        for (int r = 0; r < 3; ++r) rows[r] = ring.row(row, r);
      }
      const PatchGradient patch{rows,
                                ring.step(),
                                args.g + std::ptrdiff_t{row} * width * kBlock + lane,
                                args.weights + lane,
                                moments ? args.s + lane : nullptr,
                                moments ? args.constant + lane : nullptr,
                                width,
                                q};
      patch.run();
      for (int t = 0; t < kTaps; ++t) {
        float* to = slot(row * stride + t / 3 - 1) + t % 3 * kLanes;
        const float* from = q + t * width * kLanes;
        for (int i = 0; i < width; ++i, from += kLanes, to += ring.step()) {
          store(to, add(load(to), load(from)));
        }
      }
      finish((row + 1) * stride - 1);
    }
    finish(shape.height);
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
