// The stem, alone and fused with the first block, against the float64 reference.
#include <gtest/gtest.h>

#include <limits>

#include "kernels_testing.hpp"
#include "mobileone/kernels/kernels.hpp"
#include "mobileone/kernels/reference/reference.hpp"

namespace mobileone::kernels::testing {
namespace {

using namespace mobileone::kernels::reference;

struct StemData {
  StemPlan plan;
  std::vector<float> image, weight, bias;
  Buffer packed;

  StemData(const KernelTable& table, int height, int width, int channels, bool relu = true)
      : plan(plan_stem(table.panel_blocks, height, width, channels, relu)),
        image(random_floats(std::size_t(3) * height * width, 1)),
        weight(random_floats(std::size_t(channels) * kStemTaps, 2, 0.3f)),
        bias(random_floats(channels, 3)),
        packed(plan.packed_bytes() / 4) {
    pack_stem(plan, weight.data(), bias.data(), packed.get());
  }
  Map reference() const {
    Map map = conv3x3(exact_map(3, plan.height, plan.width, image), plan.channels, false, 2, weight,
                      bias);
    if (plan.relu) relu(map);
    return map;
  }
};

Buffer poisoned(std::size_t bytes) {
  Buffer buffer(bytes / 4);
  std::fill_n(buffer.get(), buffer.size, std::numeric_limits<float>::quiet_NaN());
  return buffer;
}

class StemTest : public ::testing::TestWithParam<Isa> {
 protected:
  const KernelTable& table = kernels(GetParam());
};

TEST_P(StemTest, MatchesReference) {
  for (int channels : {1, 16, 48, 64, 97}) {
    for (auto [height, width] : {std::pair{1, 1}, {2, 7}, {7, 2}, {13, 31}, {32, 33}, {57, 128}}) {
      for (int step : {1, 3, 1000}) {
        SCOPED_TRACE(::testing::Message() << channels << " channels, " << height << "x" << width
                                          << ", " << step << " rows per call");
        const StemData data(table, height, width, channels, channels != 16);
        const MapShape shape = data.plan.dst();
        Buffer dst(shape.num_floats());
        const Buffer scratch = poisoned(data.plan.scratch_bytes());
        const StemArgs args{data.image.data(), dst.get(), data.packed.get(), scratch.get()};
        for (int row = 0; row < shape.height; row += step) {
          table.run_stem(data.plan, args, row, std::min(row + step, shape.height));
        }
        const Map expected = data.reference();
        std::vector<float> got(expected.value.size());
        from_blocked(shape, dst.get(), got.data());
        EXPECT_EQ(mismatch(expected, got.data()), "");
      }
    }
  }
}

void check_stem_block(const KernelTable& table, int height, int width, int channels, int out,
                      const Tiling& tiling, int step) {
  SCOPED_TRACE(::testing::Message() << isa_name(table.isa) << " " << channels << " to " << out
                                    << " channels, " << height << "x" << width << ", rows "
                                    << tiling.tile_rows << ", " << step << " tiles per call");
  const StemData data(table, height, width, channels);
  const MapShape stem = data.plan.dst();
  const DwPwShape shape{channels, out, stem.height, stem.width, 2};
  const DwPwPlan block = plan_dwpw(table.panel_blocks, shape, tiling);
  const StemBlockPlan plan = plan_stem_block(data.plan, block);
  const auto depthwise = random_floats(std::size_t(channels) * 9, 4, 0.5f);
  const auto depthwise_bias = random_floats(channels, 5);
  const auto pointwise = random_floats(std::size_t(channels) * out, 6, 0.2f);
  const auto pointwise_bias = random_floats(out, 7);
  Buffer packed(block.packed_bytes() / 4), dst(shape.dst().num_floats());
  pack_dwpw(block, depthwise.data(), depthwise_bias.data(), pointwise.data(), pointwise_bias.data(),
            packed.get());
  const Buffer scratch = poisoned(plan.scratch_bytes());
  const StemBlockArgs args{data.image.data(), dst.get(), data.packed.get(), packed.get(),
                           scratch.get()};
  for (int tile = 0; tile < block.tiles(); tile += step) {
    table.run_stem_block(plan, args, tile, std::min(tile + step, block.tiles()));
  }
  Map t = conv3x3(data.reference(), channels, true, 2, depthwise, depthwise_bias);
  relu(t);
  Map expected = conv1x1(t, out, pointwise, pointwise_bias);
  relu(expected);
  double slack = 0.0;
  if (block.pointwise.strassen()) slack = strassen_bound(t, pointwise, pointwise_bias);
  std::vector<float> got(expected.value.size());
  from_blocked(shape.dst(), dst.get(), got.data());
  EXPECT_EQ(mismatch(expected, got.data(), slack), "");
}

TEST_P(StemTest, FusedWithTheFirstBlock) {
  for (auto [height, width] : {std::pair{1, 1}, {2, 5}, {3, 3}, {13, 31}, {34, 57}, {64, 64}}) {
    for (int step : {1, 2, 1000}) {
      check_stem_block(table, height, width, 48, 48, {Algorithm::kDirect, 2}, step);
      check_stem_block(table, height, width, 17, 33, {Algorithm::kDirect, 3}, step);
    }
  }
  check_stem_block(table, 224, 224, 64, 96, {Algorithm::kDirect, 4}, 5);
  check_stem_block(table, 64, 64, 64, 96, {Algorithm::kStrassen, 4}, 2);
  check_stem_block(table, 257, 131, 64, 64, {Algorithm::kDirect, 7}, 3);
}

TEST(StemPlan, RejectsBadArguments) {
  EXPECT_THROW(plan_stem(2, 0, 8, 16), std::invalid_argument);
  EXPECT_THROW(plan_stem(2, 8, 8, 0), std::invalid_argument);
  const StemPlan stem = plan_stem(2, 32, 32, 48);
  const auto block = [](int channels, int size, int stride) {
    return plan_dwpw(2, {channels, 48, size, size, stride}, {Algorithm::kDirect, 1});
  };
  EXPECT_NO_THROW(plan_stem_block(stem, block(48, 16, 2)));
  EXPECT_THROW(plan_stem_block(stem, block(48, 16, 1)), std::invalid_argument);
  EXPECT_THROW(plan_stem_block(stem, block(48, 15, 2)), std::invalid_argument);
  EXPECT_THROW(plan_stem_block(stem, block(64, 16, 2)), std::invalid_argument);
}

INSTANTIATE_TEST_SUITE_P(Isas, StemTest, ::testing::ValuesIn(supported_isas()),
                         [](const auto& isa) { return std::string(isa_name(isa.param)); });

}  // namespace
}  // namespace mobileone::kernels::testing
