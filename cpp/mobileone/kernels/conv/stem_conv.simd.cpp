#include "mobileone/kernels/conv/stem_conv.hpp"

#include "mobileone/kernels/entry_points.hpp"
#include "mobileone/kernels/stem/stem_rows.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

/// The stem's rows that one tile of the convolution reads, [blocks][rows][width + 2][16], with
/// zeros for rows and columns outside of the map.
template <typename Stem>
class TileRows {
 public:
  TileRows(const StemConvPlan& plan, Stem& stem, float* rows)
      : plan_(plan), stem_(stem), rows_(rows) {
    for (int block = 0; block < blocks(plan.stem.channels); ++block) {
      for (int slot = 0; slot < plan.rows(); ++slot) {
        float* const row = at(block, slot);
        clear(row, kBlock);
        clear(row + row_stride() - kBlock, kBlock);
      }
    }
  }

  const float* data() const { return rows_; }

  /// Fills them with rows `first` .. `first` + rows - 1; the one that the tile before had is moved.
  void move_to(int first) {
    const bool moves = first == last_;
    for (int block = 0; moves && block < blocks(plan_.stem.channels); ++block) {
      copy(at(block, plan_.rows() - 1), at(block, 0));
    }
    make(first, first + moves, first + plan_.rows());
    last_ = first + plan_.rows() - 1;
  }

 private:
  std::ptrdiff_t row_stride() const { return plan_.stem.dst().row_stride(); }
  float* at(int block, int slot) const {
    return rows_ + block * plan_.block_floats() + slot * row_stride();
  }

  static void clear(float* to, std::ptrdiff_t floats) {
    for (std::ptrdiff_t i = 0; i < floats; i += kLanes) store(to + i, zero());
  }
  void copy(const float* from, float* to) const {
    for (std::ptrdiff_t i = 0; i < row_stride(); i += kLanes) store(to + i, load(from + i));
  }

  // Rows [begin, end) to the slots from begin - first on.
  void make(int first, int begin, int end) {
    const int height = plan_.stem.out_height();
    for (int y = begin; y < end; ++y) {
      if (y >= 0 && y < height) continue;
      for (int block = 0; block < blocks(plan_.stem.channels); ++block) {
        clear(at(block, y - first), row_stride());
      }
    }
    stem_.make(begin < 0 ? 0 : begin, end < height ? end : height, plan_.block_floats(),
               [&](int y) { return at(0, y - first) + kBlock; });
  }

  const StemConvPlan& plan_;
  Stem& stem_;
  float* rows_;
  int last_ = -2;  // of the rows that are there; none is before a tile's first
};

}  // namespace

void run_stem_conv(const StemConvPlan& plan, const StemConvArgs& args, int tile_begin,
                   int tile_end) {
  float* const scratch = static_cast<float*>(args.scratch);
  float* const own = scratch + plan.conv.scratch_bytes() / sizeof(float);
  with_stem(plan.stem, args.stem_packed, args.image, own, [&]<typename Stem>(Stem& stem) {
    TileRows<Stem> rows(plan, stem, own + plan.stem.scratch_floats());
    ConvArgs conv;
    conv.src = rows.data();
    conv.rows = plan.rows();
    conv.dst = args.dst;
    conv.packed = args.conv_packed;
    conv.scratch = scratch;
    for (int tile = tile_begin; tile < tile_end; ++tile) {
      conv.first_row = 2 * tile * plan.conv.tile_rows - 1;
      rows.move_to(conv.first_row);
      run_conv(plan.conv, conv, tile, tile + 1);
    }
  });
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
