// What a tile of Winograd's algorithm reads and writes (winograd.hpp): forms of the source for the
// matrix products, and outputs of these.
#pragma once

#include "mobileone/kernels/conv/conv_tile.hpp"
#include "mobileone/kernels/conv/winograd.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

/// Stride 1: windows of 4x4 pixels, two pixels apart.
struct PlainWindows {
  static constexpr int kStride = 1, kForms = 4, kPositions = 4;

  // B' d of one column of pixels.
  struct Column {
    Vec at[kForms];
  };
  static inline __attribute__((always_inline)) Column column(const float* pixel,
                                                             std::ptrdiff_t row) {
    const Vec a = load(pixel), b = load(pixel + row), c = load(pixel + 2 * row),
              d = load(pixel + 3 * row);
    return {{sub(a, c), add(b, c), sub(c, b), sub(b, d)}};
  }

  // One row of windows, [16][..][16]: neighbours share two of their four columns.
  static void transform_row(const float* pixel, std::ptrdiff_t row, int count, std::ptrdiff_t form,
                            float* to) {
    Column a = column(pixel, row), b = column(pixel + kBlock, row);
    for (int x = 0; x < count; ++x, to += kBlock) {
      pixel += 2 * kBlock;
      const Column c = column(pixel, row), d = column(pixel + kBlock, row);
      float* at = to;
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i, at += 4 * form) {
        store(at, sub(a.at[i], c.at[i]));
        store(at + form, add(b.at[i], c.at[i]));
        store(at + 2 * form, sub(c.at[i], b.at[i]));
        store(at + 3 * form, sub(b.at[i], d.at[i]));
      }
      a = c;
      b = d;
    }
  }

  // Outputs of four products in a row or column.
  static inline __attribute__((always_inline)) void result(const Vec (&m)[4], Vec (&y)[2]) {
    y[0] = add(add(m[0], m[1]), m[2]);
    y[1] = sub(sub(m[1], m[2]), m[3]);
  }
};

/// Stride 2: windows of 5x5 pixels, four pixels apart.
struct StridedWindows {
  static constexpr int kStride = 2, kForms = 5, kPositions = 3;

  struct Column {
    Vec at[kForms];
  };
  static inline __attribute__((always_inline)) Column column(const float* pixel,
                                                             std::ptrdiff_t row) {
    const Vec a = load(pixel), b = load(pixel + 2 * row), c = load(pixel + 4 * row);
    return {{sub(a, b), load(pixel + row), sub(c, b), load(pixel + 3 * row), b}};
  }

  // One row of windows, [25][..][16]: neighbours share one of their five columns.
  static void transform_row(const float* pixel, std::ptrdiff_t row, int count, std::ptrdiff_t form,
                            float* to) {
    Column a = column(pixel, row);
    for (int x = 0; x < count; ++x, to += kBlock) {
      const Column d0 = column(pixel + kBlock, row), b = column(pixel + 2 * kBlock, row),
                   d1 = column(pixel + 3 * kBlock, row), c = column(pixel + 4 * kBlock, row);
      pixel += 4 * kBlock;
#pragma GCC unroll 5
      for (int i = 0; i < kForms; ++i) {
        store(to + strided_slot(i, 0) * form, sub(a.at[i], b.at[i]));
        store(to + strided_slot(i, 1) * form, d0.at[i]);
        store(to + strided_slot(i, 2) * form, sub(c.at[i], b.at[i]));
        store(to + strided_slot(i, 3) * form, d1.at[i]);
        store(to + strided_slot(i, 4) * form, b.at[i]);
      }
      a = c;
    }
  }

  static inline __attribute__((always_inline)) void result(const Vec (&m)[3], Vec (&y)[2]) {
    y[0] = add(m[0], m[2]);
    y[1] = add(m[1], m[2]);
  }
};

/// A tile of output rows: windows in rows, each two outputs from the next.
template <typename Windows>
class WinogradTile {
 public:
  WinogradTile(const ConvTile& conv, const WinogradScratch& parts)
      : conv_(conv),
        parts_(parts),
        across_(conv.plan.shape.out_width() / 2),
        down_(conv.rows / 2) {}

  int windows() const { return across_ * down_; }

  // All forms of every window and channel.
  void transform_source() const {
    const ConvShape& shape = conv_.plan.shape;
    const int first = blocks(shape.channels_in);
    for (int block = 0; block < parts_.k_blocks; ++block) {
      const int index = block >= first;
      const std::ptrdiff_t offset = (block - index * first) * conv_.source_block(index);
      float* to = conv_.t + parts_.source() + std::ptrdiff_t{block} * parts_.pitch * kBlock;
      for (int y = 0; y < down_; ++y, to += std::ptrdiff_t{across_} * kBlock) {
        const int row = Windows::kStride * (conv_.row_begin + 2 * y) - 1;
        const float* from = conv_.source(index, row, -1) + offset;
        for (int lane = 0; lane < kBlock; lane += kLanes) {
          Windows::transform_row(from + lane, shape.src().row_stride(), across_,
                                 parts_.source_form(), to + lane);
        }
      }
    }
  }

  // A' M A, the bias and the floor, to the map: the blocks of a panel.
  void transform_result(const PointwiseTile& tile, const Panel& panel) const {
    const MapShape dst = conv_.plan.shape.dst();
    const std::ptrdiff_t position = parts_.result_position(panel);
    const Vec floor = broadcast(tile.floor);
    for (int i = 0; i < panel.num_blocks; ++i) {
      const int block = panel.first_block + i;
      const float* m = conv_.t + parts_.result() + i * kBlock;
      for (int y = 0; y < down_; ++y) {
        float* to = conv_.args.dst + dst.offset(block, conv_.row_begin + 2 * y, 0);
        for (int x = 0; x < across_; ++x, m += panel.columns(), to += 2 * kBlock) {
          for (int lane = 0; lane < kBlock; lane += kLanes) {
            const Vec bias = load(tile.bias + block * kBlock + lane);
            transform_window(m + lane, position, bias, floor, dst.row_stride(), to + lane);
          }
        }
      }
    }
  }

 private:
  static constexpr int kPositions = Windows::kPositions;

  __attribute__((always_inline)) static void transform_window(const float* m,
                                                              std::ptrdiff_t position, Vec bias,
                                                              Vec floor, std::ptrdiff_t row,
                                                              float* to) {
    Vec upper[kPositions], lower[kPositions];
#pragma GCC unroll 4
    for (int j = 0; j < kPositions; ++j, m += position) {
      Vec column[kPositions], y[2];
#pragma GCC unroll 4
      for (int i = 0; i < kPositions; ++i) column[i] = load(m + i * kPositions * position);
      Windows::result(column, y);
      upper[j] = y[0];
      lower[j] = y[1];
    }
    write_pair(upper, bias, floor, to);
    write_pair(lower, bias, floor, to + row);
  }

  __attribute__((always_inline)) static void write_pair(const Vec (&m)[kPositions], Vec bias,
                                                        Vec floor, float* to) {
    Vec y[2];
    Windows::result(m, y);
    store(to, max(floor, add(y[0], bias)));
    store(to + kBlock, max(floor, add(y[1], bias)));
  }

  const ConvTile& conv_;
  const WinogradScratch& parts_;
  int across_, down_;
};

}  // namespace mobileone::kernels::MOBILEONE_ISA
