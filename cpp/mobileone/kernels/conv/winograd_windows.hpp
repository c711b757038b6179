// What a tile of Winograd's algorithm reads and writes (winograd.hpp): forms of the source for the
// matrix products, and outputs of these.
#pragma once

#include "mobileone/kernels/conv/conv_tile.hpp"
#include "mobileone/kernels/conv/phase_windows.hpp"
#include "mobileone/kernels/conv/winograd.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

/// Stride 1: windows of 4x4 pixels, two pixels apart.
struct PlainWindows {
  static constexpr int kStride = 1, kForms = 4, kPositions = 4, kAcross = 4, kColumns = 2;

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

  // Outputs of four products in a column or row.
  static inline __attribute__((always_inline)) void column_result(const Vec (&m)[4], Vec (&y)[2]) {
    y[0] = add(add(m[0], m[1]), m[2]);
    y[1] = sub(sub(m[1], m[2]), m[3]);
  }
  static inline __attribute__((always_inline)) void row_result(const Vec (&m)[4], Vec (&y)[2]) {
    column_result(m, y);
  }
};

/// Stride 2: windows of 5x5 pixels, four pixels apart.
struct StridedWindows {
  static constexpr int kStride = 2, kForms = 5, kPositions = 3, kAcross = 3, kColumns = 2;

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

  static inline __attribute__((always_inline)) void column_result(const Vec (&m)[3], Vec (&y)[2]) {
    y[0] = add(m[0], m[2]);
    y[1] = add(m[1], m[2]);
  }
  static inline __attribute__((always_inline)) void row_result(const Vec (&m)[3], Vec (&y)[2]) {
    column_result(m, y);
  }
};

/// The same with four columns of outputs: 5x9 pixels, eight columns apart.
struct WideWindows {
  static constexpr int kStride = 2, kPositions = 3, kAcross = 7, kColumns = 4;

  // One row of windows, [45][..][16], form of rows by form of rows: a loop each, or registers run
  // out.
  static void transform_row(const float* pixel, std::ptrdiff_t row, int count, std::ptrdiff_t form,
                            float* to) {
    const float *const b = pixel + 2 * row, *const c = pixel + 4 * row;
    transform<0>(to, form, count,
                 [=](std::ptrdiff_t at) { return sub(load(pixel + at), load(b + at)); });
    transform<1>(to, form, count, [=](std::ptrdiff_t at) { return load(pixel + row + at); });
    transform<2>(to, form, count,
                 [=](std::ptrdiff_t at) { return sub(load(c + at), load(b + at)); });
    transform<3>(to, form, count, [=](std::ptrdiff_t at) { return load(pixel + 3 * row + at); });
    transform<4>(to, form, count, [=](std::ptrdiff_t at) { return load(b + at); });
  }

  static inline __attribute__((always_inline)) void column_result(const Vec (&m)[3], Vec (&y)[2]) {
    StridedWindows::column_result(m, y);
  }
  // Products of the points 0 (with d0), 1, -1, 2 and infinity (with d3), d1 and d2.
  static inline __attribute__((always_inline)) void row_result(const Vec (&m)[7], Vec (&y)[4]) {
    const Vec sum = add(m[1], m[2]), difference = sub(m[1], m[2]);
    y[0] = add(add(m[0], m[3]), sum);
    y[1] = add(fma(broadcast(2.0f), m[3], difference), m[5]);
    y[2] = add(fma(broadcast(4.0f), m[3], sum), m[6]);
    y[3] = add(fma(broadcast(8.0f), m[3], difference), m[4]);
  }

 private:
  // B' of F(4, 2), which is that of F(3, 3); `value(at)` is one form of rows of a column.
  template <int kRow, typename Value>
  static inline __attribute__((always_inline)) void transform(float* to, std::ptrdiff_t form,
                                                              int count, const Value& value) {
    for (std::ptrdiff_t at = 0, end = std::ptrdiff_t{count} * 8 * kBlock; at < end;
         at += 8 * kBlock, to += kBlock) {
      const auto put = [&](int column, Vec v) __attribute__((always_inline)) {
        store(to + wide_slot(kRow, column) * form, v);
      };
      const Vec even[5] = {value(at), value(at + 2 * kBlock), value(at + 4 * kBlock),
                           value(at + 6 * kBlock), value(at + 8 * kBlock)};
      Vec forms[5];
      Three::source(even, forms);
      put(0, forms[0]);
      put(1, value(at + kBlock));
      put(2, forms[1]);
      put(3, forms[2]);
      put(4, forms[4]);
      put(5, forms[3]);
      put(6, value(at + 7 * kBlock));
      put(7, value(at + 3 * kBlock));
      put(8, value(at + 5 * kBlock));
    }
  }
};

/// A tile of output rows: windows in rows, one after the other.
template <typename Windows>
class WinogradTile {
 public:
  WinogradTile(const ConvTile& conv, const WinogradScratch& parts)
      : conv_(conv),
        parts_(parts),
        across_(conv.plan.shape.out_width() / Windows::kColumns),
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
        for (int x = 0; x < across_; ++x, m += panel.columns(), to += kColumns * kBlock) {
          for (int lane = 0; lane < kBlock; lane += kLanes) {
            const Vec bias = load(tile.bias + block * kBlock + lane);
            transform_window(m + lane, position, bias, floor, dst.row_stride(), to + lane);
          }
        }
      }
    }
  }

 private:
  static constexpr int kPositions = Windows::kPositions;  // of a column
  static constexpr int kAcross = Windows::kAcross;        // of a row
  static constexpr int kColumns = Windows::kColumns;

  __attribute__((always_inline)) static void transform_window(const float* m,
                                                              std::ptrdiff_t position, Vec bias,
                                                              Vec floor, std::ptrdiff_t row,
                                                              float* to) {
    Vec upper[kAcross], lower[kAcross];
#pragma GCC unroll 7
    for (int j = 0; j < kAcross; ++j, m += position) {
      Vec column[kPositions], y[2];
#pragma GCC unroll 4
      for (int i = 0; i < kPositions; ++i) column[i] = load(m + i * kAcross * position);
      Windows::column_result(column, y);
      upper[j] = y[0];
      lower[j] = y[1];
    }
    write_row(upper, bias, floor, to);
    write_row(lower, bias, floor, to + row);
  }

  __attribute__((always_inline)) static void write_row(const Vec (&m)[kAcross], Vec bias, Vec floor,
                                                       float* to) {
    Vec y[kColumns];
    Windows::row_result(m, y);
#pragma GCC unroll 4
    for (int i = 0; i < kColumns; ++i) store(to + i * kBlock, max(floor, add(y[i], bias)));
  }

  const ConvTile& conv_;
  const WinogradScratch& parts_;
  int across_, down_;
};

}  // namespace mobileone::kernels::MOBILEONE_ISA
