#include "mobileone/kernels/conv/stem_conv.hpp"

#include "mobileone/kernels/entry_points.hpp"
#include "mobileone/kernels/stem/stem_rows.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

/// The stem's rows that one tile of the convolution reads, [blocks][rows][width + 2][16], with
/// zeros for rows and columns outside of the map.
class TileRows {
 public:
  TileRows(const StemConvPlan& plan, const StemConvArgs& args, float* scratch)
      : plan_(plan),
        packed_(args.stem_packed),
        image_(plan.stem, args.image, scratch),
        rows_(scratch + plan.stem.scratch_floats()) {
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
    for (int slot = moves; slot < plan_.rows(); ++slot) make(first + slot, slot);
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

  void make(int y, int slot) {
    if (y < 0 || y >= plan_.stem.out_height()) {
      for (int block = 0; block < blocks(plan_.stem.channels); ++block) {
        clear(at(block, slot), row_stride());
      }
      return;
    }
    const float* rows[StemRows::kRows];
    image_.gather(y, rows);
    stem_row(plan_.stem, packed_, rows, at(0, slot) + kBlock, plan_.block_floats());
  }

  const StemConvPlan& plan_;
  const float* packed_;
  StemRows image_;
  float* rows_;
  int last_ = -2;  // of the rows that are there; none is before a tile's first
};

}  // namespace

void run_stem_conv(const StemConvPlan& plan, const StemConvArgs& args, int tile_begin,
                   int tile_end) {
  float* const scratch = static_cast<float*>(args.scratch);
  TileRows rows(plan, args, scratch + plan.conv.scratch_bytes() / sizeof(float));
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
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
