#include "mobileone/kernels/conv/winograd.hpp"

#include "mobileone/kernels/conv/conv_tile.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

// B' d of one column of four pixels.
struct Column {
  Vec at[4];
};

__attribute__((always_inline)) inline Column transform_column(const float* pixel,
                                                              std::ptrdiff_t row) {
  const Vec a = load(pixel), b = load(pixel + row), c = load(pixel + 2 * row),
            d = load(pixel + 3 * row);
  return {{sub(a, c), add(b, c), sub(c, b), sub(b, d)}};
}

/// A tile of output rows: windows in rows, each two pixels from the next.
class WinogradTile {
 public:
  WinogradTile(const ConvTile& conv, const WinogradScratch& parts)
      : conv_(conv), parts_(parts), across_(conv.plan.shape.width / 2), down_(conv.rows / 2) {}

  int windows() const { return across_ * down_; }

  // B' d B of every window and channel.
  void transform_source() const {
    const ConvShape& shape = conv_.plan.shape;
    const int first = blocks(shape.channels_in);
    for (int block = 0; block < parts_.k_blocks; ++block) {
      const bool second = block >= first;
      const MapShape map = second ? shape.src2() : shape.src();
      const float* src = second ? conv_.args.src2 : conv_.args.src;
      const int own = second ? block - first : block;
      float* to = conv_.t + parts_.source() + std::ptrdiff_t{block} * parts_.pitch * kBlock;
      for (int y = 0; y < down_; ++y, to += std::ptrdiff_t{across_} * kBlock) {
        const float* from = src + map.offset(own, conv_.row_begin + 2 * y - 1, -1);
        for (int lane = 0; lane < kBlock; lane += kLanes) {
          transform_row(from + lane, map.row_stride(), to + lane);
        }
      }
    }
  }

  // A' M A, the bias and the floor, to the map: `count` blocks from `block` on.
  void transform_result(const PointwiseTile& tile, int block, int count) const {
    const MapShape dst = conv_.plan.shape.dst();
    const std::ptrdiff_t product = std::ptrdiff_t{count} * parts_.pitch * kBlock;
    const Vec floor = broadcast(tile.floor);
    for (int i = 0; i < count; ++i) {
      const float* m = conv_.t + parts_.result() + std::ptrdiff_t{i} * parts_.pitch * kBlock;
      for (int y = 0; y < down_; ++y) {
        float* to = conv_.args.dst + dst.offset(block + i, conv_.row_begin + 2 * y, 0);
        for (int x = 0; x < across_; ++x, m += kBlock, to += 2 * kBlock) {
          for (int lane = 0; lane < kBlock; lane += kLanes) {
            const Vec bias = load(tile.bias + (block + i) * kBlock + lane);
            transform_window(m + lane, product, bias, floor, dst.row_stride(), to + lane);
          }
        }
      }
    }
  }

 private:
  // One row of windows, [16][..][16]: neighbours share two of their four columns.
  void transform_row(const float* pixel, std::ptrdiff_t row, float* to) const {
    const std::ptrdiff_t product = parts_.source_product();
    Column a = transform_column(pixel, row), b = transform_column(pixel + kBlock, row);
    for (int x = 0; x < across_; ++x, to += kBlock) {
      pixel += 2 * kBlock;
      const Column c = transform_column(pixel, row), d = transform_column(pixel + kBlock, row);
      float* at = to;
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i, at += 4 * product) {
        store(at, sub(a.at[i], c.at[i]));
        store(at + product, add(b.at[i], c.at[i]));
        store(at + 2 * product, sub(c.at[i], b.at[i]));
        store(at + 3 * product, sub(b.at[i], d.at[i]));
      }
      a = c;
      b = d;
    }
  }

  __attribute__((always_inline)) static void transform_window(const float* m,
                                                              std::ptrdiff_t product, Vec bias,
                                                              Vec floor, std::ptrdiff_t row,
                                                              float* to) {
    Vec upper[4], lower[4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j, m += product) {
      const Vec middle = load(m + 4 * product), next = load(m + 8 * product);
      upper[j] = add(add(load(m), middle), next);
      lower[j] = sub(sub(middle, next), load(m + 12 * product));
    }
    write_pair(upper, bias, floor, to);
    write_pair(lower, bias, floor, to + row);
  }

  __attribute__((always_inline)) static void write_pair(const Vec (&m)[4], Vec bias, Vec floor,
                                                        float* to) {
    store(to, max(floor, add(add(add(m[0], m[1]), m[2]), bias)));
    store(to + kBlock, max(floor, add(sub(sub(m[1], m[2]), m[3]), bias)));
  }

  const ConvTile& conv_;
  const WinogradScratch& parts_;
  int across_, down_;
};

// The 16 products of one panel; the next matrix is fetched meanwhile, and during the last what
// `background` holds.
void multiply_windows(const ConvTile& conv, const WinogradScratch& parts, int windows,
                      const PointwiseTile& tile, const Panel& panel, PrefetchStream* background) {
  const int vectors = panel.columns() / kLanes;
  const PixelGroups groups(windows, max_pixels(vectors));
  const std::ptrdiff_t matrix = std::ptrdiff_t{parts.k_blocks} * kBlock * panel.columns();
  const float* end = tile.packed + conv.plan.panels_floats();
  Chain chain;
  chain.k_blocks = parts.k_blocks;
  chain.floor = kUnlimited;
  chain.row = conv.t + parts.zeros();
  chain.dst_block = std::ptrdiff_t{parts.pitch} * kBlock;
  Link& link = chain.links[0];
  link.a_block = chain.dst_block;
  link.b = tile.packed + kWinogradProducts * conv.plan.pointwise.panel_offset(panel.first_block);
  const auto* offsets = reinterpret_cast<const std::int32_t*>(conv.t + parts.offsets());
  for (int i = 0; i < kWinogradProducts; ++i, link.b += matrix) {
    const float* const next = link.b + matrix;
    PrefetchStream stream =
        tile.stream(next, next < end && next + matrix > end ? end : next + matrix);
    if (next >= end) stream = {};
    link.a = conv.t + parts.source() + i * parts.source_product();
    link.output = {conv.t + parts.result() + i * panel.num_blocks * chain.dst_block, offsets};
    multiply_groups(chain, groups, vectors, stream, background);
  }
}

}  // namespace

void run_winograd(const ConvTile& conv, PointwiseTile tile, PrefetchStream* background) {
  const PointwisePlan& product = conv.plan.pointwise;
  const WinogradScratch parts(conv.plan);
  const WinogradTile windows(conv, parts);
  for (int i = 0; i < WinogradScratch::kMostBlocks * kBlock; ++i) conv.t[parts.zeros() + i] = 0.0f;
  auto* offsets = reinterpret_cast<std::int32_t*>(conv.t + parts.offsets());
  for (int i = 0; i < windows.windows(); ++i) offsets[i] = i * kBlock;
  windows.transform_source();
  for (int index = 0; index < product.num_panels(); ++index) {
    const Panel panel = product.panel(index);
    PrefetchStream* const rest = index + 1 == product.num_panels() ? background : nullptr;
    multiply_windows(conv, parts, windows.windows(), tile, panel, rest);
    windows.transform_result(tile, panel.first_block, panel.num_blocks);
    conv.finish(panel.first_block, panel.num_blocks);
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
