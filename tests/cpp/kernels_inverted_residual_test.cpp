// Blocks with an expansion, MobileNetV2's inverted residuals, against their float64 reference, on
// every instruction set.
#include "kernels_block_testing.hpp"
#include "mobileone/base/thread_pool.hpp"

namespace mobileone::kernels::testing {
namespace {

BlockShape inverted(int in, int expanded, int out, int height, int width, int stride,
                    Activation activation = Activation::kSilu, bool residual = false) {
  BlockShape shape;
  shape.channels_in = in;
  shape.expanded = expanded;
  shape.channels_out = out;
  shape.height = height;
  shape.width = width;
  shape.stride = stride;
  shape.expand_activation = shape.depthwise_activation = activation;
  shape.project.residual = residual;
  return shape;
}

class InvertedResidualTest : public KernelTest {
 protected:
  void check(const BlockShape& shape, int rows, int step,
             Algorithm algorithm = Algorithm::kDirect) {
    check_block(table, shape, {algorithm, rows}, step);
  }
};

TEST_P(InvertedResidualTest, AwkwardChannels) {
  const int channels[] = {1, 15, 16, 24, 48};
  for (int in : channels) {
    for (int expanded : {1, 17, 32, 48, 80}) {
      for (int out : channels) {
        const int stride = in == out ? 1 : 2;
        check(inverted(in, expanded, out, 7, 6, stride, Activation::kSilu, in == out),
              1 + expanded % 3, 1 + in % 2);
      }
    }
  }
}

TEST_P(InvertedResidualTest, AwkwardSizes) {
  for (int height : {1, 2, 7, 16, 35}) {
    for (int width : {1, 2, 5, 13, 33}) {
      for (int stride : {1, 2}) {
        for (int rows : {1, 2, 5, 16}) {
          check(inverted(20, 33, 20, height, width, stride, Activation::kSilu, stride == 1), rows,
                rows);
        }
      }
    }
  }
}

BlockShape mixer(int in, int expanded, int out, int height, int width, Activation activation) {
  BlockShape shape = inverted(in, expanded, out, height, width, 1, activation, in == out);
  shape.kernel = 0;
  return shape;
}

TEST_P(InvertedResidualTest, WithoutADepthwise) {
  for (int in : {1, 24, 48}) {
    for (int expanded : {1, 17, 40, 80}) {
      for (int width : {1, 8, 13, 33}) {
        check(mixer(in, expanded, width == 8 ? 20 : in, 7, width, Activation::kGelu),
              1 + expanded % 3, 1 + in % 2);
      }
    }
  }
  check(mixer(56, 112, 56, 28, 56, Activation::kGelu), 2, 3);
  check(mixer(32, 64, 32, 9, 14, Activation::kRelu), 4, 2, Algorithm::kStrassen);
  BlockShape strided = mixer(16, 32, 32, 8, 8, Activation::kNone);
  strided.stride = 2;
  EXPECT_THROW(plan_block(table.traits, strided, {Algorithm::kDirect, 1}), std::invalid_argument);
  BlockShape alone = mixer(16, 0, 32, 8, 8, Activation::kNone);
  EXPECT_THROW(plan_block(table.traits, alone, {Algorithm::kDirect, 1}), std::invalid_argument);
}

// The same bits as of one map; and with a bias of the image's own, that one's sums.
TEST_P(InvertedResidualTest, SourceOfSeveralMaps) {
  for (int width : {5, 14, 33}) {
    const BlockShape shape = mixer(75, 40, 24, 6, width, Activation::kRelu);
    const auto plan = plan_block(table.traits, shape, {Algorithm::kDirect, 2});
    BlockData data(shape);
    const BlockRun run(plan, data);
    std::vector<Buffer> maps;
    std::vector<BlockPart> parts;
    const float* from = data.src.data();
    for (int channels : {16, 32, 27}) {
      const MapShape map{channels, shape.height, shape.width};
      maps.emplace_back(map.num_floats());
      to_blocked(map, from, maps.back().get());
      parts.push_back({maps.back().get(), channels});
      from += std::ptrdiff_t{channels} * shape.height * shape.width;
    }
    Buffer scratch(plan.scratch_bytes() / 4);
    BlockArgs args = run.args(scratch.get());
    args.src = nullptr;
    args.parts = parts.data();
    args.num_parts = int(parts.size());
    table.run_block(plan, args, 0, plan.units());
    EXPECT_EQ(run.result(), run_block(table, plan, data, 1)) << width;
    data.expand_bias = random_floats(data.expand_bias.size(), 11, 2.0f);
    Buffer bias(std::size_t(padded(shape.expanded)));
    std::ranges::copy(data.expand_bias, bias.get());
    args.expand_bias = bias.get();
    table.run_block(plan, args, 0, plan.units());
    EXPECT_EQ(reference::mismatch(data.expected(), run.result().data()), "") << width;
  }
}

TEST_P(InvertedResidualTest, OtherActivations) {
  check(inverted(16, 48, 24, 9, 9, 2, Activation::kRelu), 2, 1);
  check(inverted(16, 48, 16, 9, 9, 1, Activation::kNone, true), 3, 2);
}

TEST_P(InvertedResidualTest, NetworkShapes) {
  check(inverted(16, 32, 16, 64, 128, 1, Activation::kSilu, true), 2, 100);
  check(inverted(32, 128, 64, 64, 64, 2), 3, 4);
  check(inverted(64, 256, 64, 32, 32, 1, Activation::kSilu, true), 4, 3);
}

TEST_P(InvertedResidualTest, StrassenInTheProjection) {
  check(inverted(16, 64, 32, 9, 7, 1), 3, 2, Algorithm::kStrassen);
  check(inverted(32, 128, 32, 8, 8, 1, Activation::kSilu, true), 4, 1, Algorithm::kStrassen);
}

TEST_P(InvertedResidualTest, ThreadsAndTilesGiveTheSameBits) {
  const BlockShape shape = inverted(32, 112, 32, 21, 11, 1, Activation::kSilu, true);
  const BlockData data(shape);
  const auto whole = plan_block(table.traits, shape, {Algorithm::kDirect, 16});
  const std::vector<float> expected = run_block(table, whole, data, 2);
  for (int threads : {1, 2, 3, 4}) {
    ThreadPool pool(threads);
    for (int rows : {1, 4}) {
      const auto plan =
          plan_block(table.traits, shape, {Algorithm::kDirect, rows, 1 + threads / 3});
      const BlockRun run(plan, data);
      std::vector<Buffer> scratch;
      for (int i = 0; i < threads; ++i) scratch.emplace_back(plan.scratch_bytes() / 4);
      ASSERT_TRUE(pool.run(plan.units(), [&](int thread, int unit) {
        run.units(table, unit, unit + 1, scratch[std::size_t(thread)].get());
      }));
      EXPECT_EQ(run.result(), expected) << threads << " threads, rows " << rows;
    }
  }
}

MOBILEONE_FOR_ALL_TABLES(InvertedResidualTest);

}  // namespace
}  // namespace mobileone::kernels::testing
