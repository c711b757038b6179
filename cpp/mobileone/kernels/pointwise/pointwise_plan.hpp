// How a pointwise (1x1) convolution over one tile of pixels is cut up and how its weights are
// packed.
//
// The operand A is a tile T[ceil(K/16)][pitch][16] in scratch. B is cut into panels of 32 columns
// (16 on AVX2; the last one takes 48 where the number of 16-column blocks is odd, or, on AVX2, 24
// where the upper half of the last block is padding), each stored [K][panel width], so that a
// microkernel reads it front to back. Of bfloat16, two in the place of a float: T's channels are in
// order, B's panels [K / 2][panel width][2], of whole blocks; Strassen's algorithm is not for it,
// because its sums would be rounded once more.
//
// Algorithm::kStrassen is one level of Strassen's algorithm in Winograd's form (7 products and 15
// sums; Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 23.1). T is split
// into its even and its odd pixels and by halves of K, B by halves of K and N. Which pixels are
// paired, and so every bit of the result, is the same for tiles of any height: a tile that is not
// the last has an even number of pixels (strassen_rows), and an odd last pixel is its own
// neighbour. The sums of B's quarters are made when the weights are packed; a panel of the
// half-width problem then holds, in the order of use,
//   B11, B21, T2, T3, T4, T1, B22   with T1 = B12 - B11, T2 = B22 - T1, T3 = B22 - B12, T4 = T2 -
//   B21,
// 7/4 of the direct layout's size. T4 is stored negated: C21 is then a sum like the others.
//
// Algorithm::kTwoLevels does the outer level's seven products in that way: B11, B21, ..., B22 are
// packed one after the other, each as one level's B (49/16 of the direct layout's size), and every
// number is rounded once. The outer level splits pixels into pairs of pairs; of an incomplete pair
// of pairs at the map's end the last pixel takes the missing ones' place.
#pragma once

#include <cstddef>

#include "mobileone/kernels/isa.hpp"
#include "mobileone/kernels/layout.hpp"

namespace mobileone::kernels {

/// The direct product, or levels of Strassen's algorithm: their number is the enumerator's value.
enum class Algorithm { kDirect, kStrassen, kTwoLevels };

/// What is made of a last block whose upper half is padding, 16 columns that cost as much as any.
enum class HalfBlock {
  kWhole,   // they are multiplied
  kVector,  // vectors of eight: the lower half is one
  kPairs,   // vectors of sixteen: one holds the lower halves of two pixels; B's half is there twice
};

/// A run of 16-column blocks of B that is packed together.
struct Panel {
  int first_block;
  int num_blocks;
  HalfBlock half = HalfBlock::kWhole;  // what its last block is

  /// Columns that are packed.
  int columns() const {
    return num_blocks * kBlock - (half == HalfBlock::kVector ? kBlock / 2 : 0);
  }
};

struct PointwisePlan {
  int k_blocks = 0;      // input channels / 16, rounded up
  int n_blocks = 0;      // output channels / 16, rounded up
  int tile_pixels = 0;   // pixels of T
  int max_pixels = 0;    // pixels that one call of pointwise() covers: T, or a part of it
  int panel_blocks = 0;  // IsaTraits::panel_blocks
  Algorithm algorithm = Algorithm::kDirect;
  HalfBlock half = HalfBlock::kWhole;
  int per_lane = 1;  // IsaTraits::per_lane

  /// Of Strassen's algorithm.
  int levels() const { return static_cast<int>(algorithm); }
  bool strassen() const { return levels() > 0; }
  /// Of two levels: the plan of the outer one's products, which are one level each.
  PointwisePlan product() const;
  /// Parts of the columns that a panel has columns in: Strassen works on a half or a quarter.
  int parts() const { return 1 << levels(); }
  /// 16-column blocks that are cut into panels.
  int panelled_blocks() const { return n_blocks >> levels(); }
  int num_panels() const;
  Panel panel(int index) const;
  /// Floats from the start of the packed B (of two levels, of an outer product's) to the panel that
  /// begins at block `first_block`.
  std::ptrdiff_t panel_offset(int first_block) const;
  std::ptrdiff_t packed_floats() const;

  /// Pixels from one 16-channel block of T to the next; see tile_pitch().
  int pitch() const;
  /// The same for Strassen's S1 and S2, whose pixels alternate, and for S3 and S4.
  int sum_pitch() const;
  /// Of S1..S4; 0 without Strassen's algorithm.
  std::ptrdiff_t sums_floats() const;
  /// Of one of the outer level's partial results; and what holds a group of pixels of it, or a
  /// pixel.
  std::ptrdiff_t partial_floats() const;
  int spare_floats() const;
  std::ptrdiff_t tile_floats() const;
  std::ptrdiff_t scratch_floats() const;
};

/// Of Strassen's U0 and U1 in scratch: one pixel group of the widest panel each.
inline constexpr int kPartialFloats = 2 * kMaxPixels * 3 * kBlock;

/// `pixels` rounded up so that consecutive channel blocks of one pixel group start in different L1
/// sets: a pitch near a multiple of 64 lines would map all of them to the same few.
int tile_pitch(int pixels);

/// Rows whose pixels are whole pairs (of two levels, whole pairs of pairs).
int paired_rows(int levels, int width);

/// Rows of a tile: `rows`, or as many more as a tile needs not to end in a part of a pair; at most
/// `height`, those of the map.
int strassen_rows(int levels, int rows, int height, int width);

/// What pointwise_direct makes of the last block of `channels_out`: of bfloat16, kWhole.
HalfBlock half_block(const IsaTraits& isa, int channels_out, Algorithm algorithm);

/// Whether `levels` of Strassen's algorithm can split K x N channels (both into 16-channel blocks,
/// evenly).
bool strassen_divides(int levels, int k_blocks, int n_blocks);

/// `weight` is [channels_out][channels_in] (a 1x1 convolution's, row-major).
void pack_pointwise(const PointwisePlan& plan, int channels_in, int channels_out,
                    const float* weight, float* packed);

/// `bias` (or zeros) padded with zeros to whole blocks.
void pack_bias(int channels, const float* bias, float* packed);

}  // namespace mobileone::kernels
