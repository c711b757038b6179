#include "mobileone/kernels/tokens/unfold.hpp"

#include "mobileone/kernels/entry_points.hpp"
#include "mobileone/kernels/simd/math.hpp"
#include "mobileone/kernels/simd/transpose.hpp"
#include "mobileone/kernels/tokens/resize.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

/// Where a column's pixel lies in the map that is cut into patches.
struct Pixel {
  int y = -1;  // -1: the column holds no token
  int x = 0;
};

/// The pixels of consecutive columns, from `column` on.
class PixelWalk {
 public:
  PixelWalk(const TokenLayout& tokens, int column)
      : tokens_(tokens),
        position_(column / tokens.stride()),
        token_(column % tokens.stride()),
        row_(token_ / tokens.grid_width()),
        column_(token_ % tokens.grid_width()) {
    begin_position();
  }

  Pixel next() {
    Pixel pixel;
    if (position_ < tokens_.positions() && token_ < tokens_.tokens()) {
      pixel = {row_ * tokens_.patch_height + inner_row_,
               column_ * tokens_.patch_width + inner_column_};
    }
    ++token_;
    if (++column_ == tokens_.grid_width()) {
      column_ = 0;
      ++row_;
    }
    if (token_ == tokens_.stride()) {
      token_ = row_ = column_ = 0;
      ++position_;
      begin_position();
    }
    return pixel;
  }

 private:
  void begin_position() {
    inner_row_ = position_ / tokens_.patch_width;
    inner_column_ = position_ % tokens_.patch_width;
  }

  const TokenLayout& tokens_;
  int position_, token_, row_, column_;
  int inner_row_ = 0, inner_column_ = 0;
};

/// Offsets of the four pixels that one value is interpolated from, and their weights.
struct Sample {
  std::ptrdiff_t at[4];
  float weight[4];
};

Sample sample_of(const MapShape& src, const Axis& rows, const Axis& columns, Pixel pixel) {
  const Tap y = rows.tap(pixel.y), x = columns.tap(pixel.x);
  const auto offset = [&](int row, int column) { return src.offset(0, row, column); };
  return {{offset(y.first, x.first), offset(y.first, x.second), offset(y.second, x.first),
           offset(y.second, x.second)},
          {(1.0f - y.weight) * (1.0f - x.weight), (1.0f - y.weight) * x.weight,
           y.weight * (1.0f - x.weight), y.weight * x.weight}};
}

inline Vec interpolate(const float* map, const Sample& s) {
  Vec sum = mul(load(map + s.at[0]), broadcast(s.weight[0]));
  sum = fma(load(map + s.at[1]), broadcast(s.weight[1]), sum);
  sum = fma(load(map + s.at[2]), broadcast(s.weight[2]), sum);
  return fma(load(map + s.at[3]), broadcast(s.weight[3]), sum);
}

// read(i, at): kLanes channels of column i, `at` floats after its first channel.
template <typename Read>
void gather(int channels, std::ptrdiff_t block_stride, const Read& read, float* out) {
  for (int channel = 0; channel < channels; channel += kLanes) {
    const std::ptrdiff_t at = channel / kBlock * block_stride + channel % kBlock;
    Vec v[kLanes];
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) v[i] = read(i, at);
    transpose(v);
    const int rows = channels - channel < kLanes ? channels - channel : kLanes;
    float* row = out + std::ptrdiff_t{channel} * kPanel;
    if (rows == kLanes) {
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) store(row + i * kPanel, v[i]);
    } else {
      float buffer[kLanes * kLanes];
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) store(buffer + i * kLanes, v[i]);
      for (int i = 0; i < rows; ++i) store(row + i * kPanel, load(buffer + i * kLanes));
    }
  }
}

}  // namespace

void unfold(const TransformerPlan& plan, const float* map, int column, int count, float* out) {
  const TransformerShape& shape = plan.shape;
  const MapShape src = shape.src();
  const Axis rows(shape.height, plan.tokens.height), columns(shape.width, plan.tokens.width);
  PixelWalk walk(plan.tokens, column);
  for (int first = 0; first < count; first += kLanes) {
    alignas(64) static constexpr float kNothing[kBlock] = {};
    const float* pixels[kLanes];
    Sample samples[kLanes];
    bool present[kLanes];
    for (int i = 0; i < kLanes; ++i) {
      const Pixel pixel = walk.next();
      present[i] = pixel.y >= 0;
      if (!present[i]) continue;
      if (shape.resizes()) {
        samples[i] = sample_of(src, rows, columns, pixel);
      } else {
        pixels[i] = map + src.offset(0, pixel.y, pixel.x);
      }
    }
    if (shape.resizes()) {
      gather(
          shape.channels_in, src.block_stride(),
          [&](int i, std::ptrdiff_t at) {
            return present[i] ? interpolate(map + at, samples[i]) : zero();
          },
          out + first);
    } else {
      gather(
          shape.channels_in, src.block_stride(),
          [&](int i, std::ptrdiff_t at) { return load(present[i] ? pixels[i] + at : kNothing); },
          out + first);
    }
  }
}

void fold(const TransformerPlan& plan, const float* tokens, int column, int count, float* map) {
  const MapShape dst = plan.shape.last();
  PixelWalk walk(plan.tokens, column);
  for (int first = 0; first < count; first += kLanes) {
    std::ptrdiff_t offsets[kLanes];
    bool whole = true;
    for (int i = 0; i < kLanes; ++i) {
      const Pixel pixel = walk.next();
      whole = whole && pixel.y >= 0;
      offsets[i] = pixel.y < 0 ? -1 : dst.offset(0, pixel.y, pixel.x);
    }
    // Whole blocks: the channels that pad the last one are zero.
    for (int channel = 0; channel < padded(dst.channels); channel += kLanes) {
      const float* row = tokens + std::ptrdiff_t{channel} * kPanel + first;
      const int rows = dst.channels - channel;
      Vec v[kLanes];
      if (rows >= kLanes) {
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) v[i] = load(row + i * kPanel);
      } else {
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) v[i] = i < rows ? load(row + i * kPanel) : zero();
      }
      transpose(v);
      float* block = map + channel / kBlock * dst.block_stride() + channel % kBlock;
      if (whole) {
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) store(block + offsets[i], v[i]);
      } else {
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) {
          if (offsets[i] >= 0) store(block + offsets[i], v[i]);
        }
      }
    }
  }
}

void resize_map(const ResizeShape& shape, const float* src, float* dst, int row_begin,
                int row_end) {
  const MapShape from = shape.src(), to = shape.dst();
  const Axis rows(shape.height, shape.out_height), columns(shape.width, shape.out_width);
  for (int row = row_begin; row < row_end; ++row) {
    for (int x = 0; x < shape.out_width; ++x) {
      const Sample sample = sample_of(from, rows, columns, {row, x});
      for (int block = 0; block < blocks(shape.channels); ++block) {
        const float* in = src + block * from.block_stride();
        float* out = dst + to.offset(block, row, x);
        for (int lane = 0; lane < kBlock; lane += kLanes) {
          const Vec value = interpolate(in + lane, sample);
          store(out + lane, shape.silu ? silu(value) : value);
        }
      }
    }
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
