#include "mobileone/kernels/entry_points.hpp"
#include "mobileone/kernels/simd/permute.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

/// One row of a source's vector into one of the result's. The first of a vector's moves leaves
/// zeros in the other lanes, later ones what is there.
template <bool kFirst>
void move_row(const LaneMove& move, const float* from, int width, float* to) {
  const Indices order = load_indices(move.order), mask = load_indices(move.mask);
  for (int x = 0; x < width; ++x, from += kBlock, to += kBlock) {
    const Vec moved = permute(load(from), order);
    store(to, blend(kFirst ? zero() : load(to), moved, mask));
  }
}

void copy_row(const float* from, int width, float* to) {
  for (int x = 0; x < width; ++x, from += kBlock, to += kBlock) store(to, load(from));
}

}  // namespace

void run_channel_moves(const ChannelMoves& plan, const float* const* sources, float* dst,
                       int unit_begin, int unit_end) {
  constexpr int kPerBlock = kBlock / kLanes;
  const int width = plan.dst.width;
  for (int block = unit_begin; block < unit_end; ++block) {
    for (int y = 0; y < plan.dst.height; ++y) {
      for (int part = 0; part < kPerBlock; ++part) {
        const int vector = block * kPerBlock + part;
        float* const to = dst + plan.dst.offset(block, y, 0) + part * kLanes;
        const LaneMove *const begin = plan.begin(vector), *const end = plan.end(vector);
        if (begin == end) {  // padding alone
          for (int x = 0; x < width; ++x) store(to + x * kBlock, zero());
        }
        for (const LaneMove* move = begin; move != end; ++move) {
          const MapShape& map = plan.source(move->map);
          const int channel = move->vector * kLanes;
          const float* from =
              sources[move->map] + map.offset(channel / kBlock, y, 0) + channel % kBlock;
          if (move->whole) {
            copy_row(from, width, to);
          } else if (move == begin) {
            move_row<true>(*move, from, width, to);
          } else {
            move_row<false>(*move, from, width, to);
          }
        }
      }
    }
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
