// Blocks without an expansion, MobileOne's pairs: depthwise -> pointwise, against their float64
// reference, on every instruction set.
#include "kernels_block_testing.hpp"

namespace mobileone::kernels::testing {
namespace {

using namespace mobileone::kernels::reference;

class PairTest : public KernelTest {
 protected:
  void check(const BlockShape& shape, int rows, int parts, int step) {
    check_block(table, shape, {Algorithm::kDirect, rows, parts}, step);
  }
  void check_strassen(const BlockShape& shape, int rows, int parts, bool hard) {
    check_block(table, shape, {Algorithm::kStrassen, rows, parts}, 1 + parts, hard);
  }
  void check_two_levels(const BlockShape& shape, int rows, int parts, bool hard) {
    check_block(table, shape, {Algorithm::kTwoLevels, rows, parts}, 1 + parts, hard);
  }
};

TEST_P(PairTest, AwkwardChannels) {
  const int channels[] = {1, 3, 15, 16, 17, 48, 97};
  for (int in : channels) {
    for (int out : channels) {
      check(pair(in, out, 9, 7, 1 + (in + out) % 2), 2, 1 + out % 3, 1 + in % 4);
    }
  }
}

TEST_P(PairTest, AwkwardSizes) {
  for (int height : {1, 2, 7, 13, 32}) {
    for (int width : {1, 2, 7, 13, 31, 57}) {
      for (int stride : {1, 2}) check(pair(20, 33, height, width, stride), 3, 2, 3);
    }
  }
}

TEST_P(PairTest, LargeOddMaps) {
  check(pair(16, 48, 257, 113, 2), 4, 1, 5);
  check(pair(17, 16, 131, 257, 1), 1, 1, 100);
}

TEST_P(PairTest, NetworkShapes) {
  check(pair(48, 48, 56, 56, 1), 4, 1, 14);
  check(pair(128, 256, 28, 28, 2), 14, 2, 1);
  check(pair(256, 1024, 14, 14, 2), 7, 4, 1);
}

TEST_P(PairTest, WithoutActivations) {
  BlockShape shape = pair(17, 33, 9, 9, 1);
  shape.project.activation = Activation::kNone;
  shape.stride = 2;
  check(shape, 3, 1, 1);
  shape.depthwise_activation = Activation::kNone;
  shape.stride = 1;
  check(shape, 3, 1, 1);
}

TEST_P(PairTest, Strassen) {
  for (bool hard : {false, true}) {
    check_strassen(pair(32, 32, 4, 6, 1), 2, 1, hard);
    check_strassen(pair(31, 96, 8, 7, 1), 2, 1, hard);
    check_strassen(pair(32, 64, 1, 1, 1), 1, 1, hard);
    check_strassen(pair(64, 64, 7, 7, 1), 7, 2, hard);
    check_strassen(pair(64, 32, 13, 9, 2), 3, 1, hard);
    check_strassen(pair(64, 128, 13, 14, 1), 5, 3, hard);
    check_strassen(pair(96, 192, 28, 28, 2), 7, 2, hard);
    check_strassen(pair(128, 224, 14, 14, 1), 14, 2, hard);
    check_strassen(pair(224, 224, 14, 14, 1), 14, 2, hard);
  }
}

TEST_P(PairTest, TwoLevelsOfStrassen) {
  for (bool hard : {false, true}) {
    check_two_levels(pair(64, 64, 4, 6, 1), 2, 1, hard);
    check_two_levels(pair(63, 192, 8, 7, 1), 4, 1, hard);
    for (int width : {1, 2, 3, 5}) check_two_levels(pair(64, 64, 1, width, 1), 1, 1, hard);
    check_two_levels(pair(128, 128, 7, 7, 1), 7, 2, hard);
    check_two_levels(pair(64, 192, 13, 9, 2), 3, 1, hard);
    check_two_levels(pair(64, 448, 13, 14, 1), 6, 3, hard);
    check_two_levels(pair(192, 320, 28, 28, 2), 7, 2, hard);
    check_two_levels(pair(256, 384, 14, 14, 1), 14, 2, hard);
    check_two_levels(pair(448, 448, 14, 14, 1), 14, 2, hard);
  }
}

// Strassen's maximum-norm bound is loose; on ordinary data the error must be near the direct one's.
TEST_P(PairTest, StrassenIsAboutAsAccurateAsDirectOnOrdinaryData) {
  BlockShape shape = pair(256, 256, 14, 14, 1);
  shape.project.activation = Activation::kNone;
  const BlockData data(shape);
  const Map expected = data.expected();
  double rms[3] = {0.0, 0.0, 0.0};
  for (Algorithm algorithm : {Algorithm::kDirect, Algorithm::kStrassen, Algorithm::kTwoLevels}) {
    const auto plan = plan_block(table.traits, shape, {algorithm, 14});
    const std::vector<float> got = run_block(table, plan, data, 1);
    double& total = rms[static_cast<int>(algorithm)];
    for (std::size_t i = 0; i < got.size(); ++i) {
      total += (got[i] - expected.value[i]) * (got[i] - expected.value[i]);
    }
  }
  // Each of the seven products has operands up to 3 (S) and 3 (T) times larger than A and B; their
  // root mean squares grow by at most sqrt(4) each, and up to 4 products meet in one output.
  EXPECT_LE(std::sqrt(rms[1] / rms[0]), 4.0 * 2.0);
  EXPECT_LE(std::sqrt(rms[2] / rms[0]), 4.0 * 2.0 * 4.0 * 2.0);  // twice
}

TEST_P(PairTest, PartitionsAreBitwiseEqual) {
  const BlockShape shape = pair(48, 112, 14, 14, 1);
  const BlockData data(shape);
  const auto whole = plan_block(table.traits, shape, {Algorithm::kDirect, 14, 1});
  const std::vector<float> expected = run_block(table, whole, data, 1);
  for (int rows : {1, 4, 7}) {
    for (int parts : {1, 2, 3}) {
      const auto plan = plan_block(table.traits, shape, {Algorithm::kDirect, rows, parts});
      EXPECT_EQ(run_block(table, plan, data, 2), expected) << "rows " << rows << " parts " << parts;
    }
  }
}

// Neighbours are paired, whatever tile they are in, and an odd last pixel is its own neighbour.
TEST_P(PairTest, StrassensPartitionsAreBitwiseEqual) {
  const auto check_partitions = [&](const BlockShape& shape, Algorithm algorithm) {
    const BlockData data(shape);
    const auto whole = plan_block(table.traits, shape, {algorithm, shape.height, 1});
    const std::vector<float> expected = run_block(table, whole, data, 1);
    for (int rows = 1; rows < shape.height; ++rows) {
      for (int parts : {1, 3}) {
        const auto plan = plan_block(table.traits, shape, {algorithm, rows, parts});
        EXPECT_EQ(run_block(table, plan, data, 2), expected)
            << shape.height << "x" << shape.width << ", rows " << rows << " parts " << parts
            << " levels " << int(algorithm);
      }
    }
  };
  for (const auto& [height, width] : {std::pair{14, 14}, {9, 7}, {7, 7}, {5, 1}, {1, 9}, {9, 6}}) {
    check_partitions(pair(64, 96, height, width, 1), Algorithm::kStrassen);
    check_partitions(pair(64, 192, height, width, 1), Algorithm::kTwoLevels);
  }
}

TEST_P(PairTest, NanAndInfinityPassThrough) {
  const BlockShape shape = pair(16, 32, 6, 6, 1);
  BlockData data(shape);
  data.src[0] = std::numeric_limits<float>::quiet_NaN();
  const auto plan = plan_block(table.traits, shape, {Algorithm::kDirect, 6});
  const std::vector<float> got = run_block(table, plan, data, 1);
  EXPECT_TRUE(std::isnan(got[0]));
  EXPECT_FALSE(std::isnan(got[35]));
}

// Squeeze-and-excite after both convolutions, and a source that is still to be scaled.
TEST_P(PairTest, SqueezeExciteAfterBothConvolutions) {
  for (auto [in, out, size] : {std::tuple{32, 64, 14},
                               {64, 128, 14},
                               {128, 64, 7},
                               {64, 96, 7},
                               {32, 32, 1},
                               {17, 33, 7},
                               {48, 16, 5},
                               {16, 24, 5},
                               {16, 40, 3}}) {
    for (int levels : {0, 1, 2}) {
      const auto algorithm = static_cast<Algorithm>(levels);
      BlockShape shape = pair(in, out, size, size, 1);
      shape.excite = ExcitePlace::kBeforeActivation;
      if (levels > 0 && !strassen_applies(table.traits, shape, levels)) continue;
      SCOPED_TRACE(::testing::Message() << in << " " << out << " " << size << " " << levels);
      const int rows = levels > 0 ? 4 : 2;
      const auto plan = plan_block(table.traits, shape, {algorithm, rows, 2});
      const BlockData data(shape);
      const SeData outer(out, 4, 11);
      const auto factors = random_floats(in, 2);
      Map scaled = data.source();
      multiply(scaled, exact_map(in, 1, 1, factors));
      // The kernel scales the weights, not the map: one more rounding per product, as here.
      const Map t = data.filtered(scaled);
      Map expected = conv1x1(t, out, data.project, data.project_bias);
      if (levels > 0) {
        std::fill(expected.bound.begin(), expected.bound.end(),
                  strassen_bound(t, data.project, data.project_bias, levels));
      }
      const Map expected_scale = outer.scale(mean(expected));
      activate(Activation::kRelu, expected);

      const BlockRun run(plan, data);
      Buffer scratch(plan.scratch_bytes() / 4), scale(padded(in)), sums(padded(out)), hidden(16),
          out_scale(padded(out));
      std::copy(factors.begin(), factors.end(), scale.get());
      BlockArgs args = run.args(scratch.get());
      args.src_scale = scale.get();
      args.dst_sums = sums.get();
      for (int unit = 0; unit < plan.units(); ++unit) table.run_block(plan, args, unit, unit + 1);
      table.squeeze_excite(outer.se, sums.get(), size * size, hidden.get(), out_scale.get());
      EXPECT_EQ(mismatch(expected, run.result().data()), "");
      EXPECT_EQ(mismatch(expected_scale, out_scale.get()), "");
    }
  }
}

MOBILEONE_FOR_ALL_TABLES(PairTest);

}  // namespace
}  // namespace mobileone::kernels::testing
