// The inverted residual block against its float64 reference, on every instruction set.
#include <gtest/gtest.h>

#include <limits>

#include "kernels_testing.hpp"
#include "mobileone/base/thread_pool.hpp"
#include "mobileone/kernels/kernels.hpp"
#include "mobileone/kernels/reference/reference.hpp"

namespace mobileone::kernels::testing {
namespace {

using namespace mobileone::kernels::reference;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

struct BlockData {
  InvertedResidualShape shape;
  std::vector<float> src, expand, expand_bias, depthwise, depthwise_bias, project, project_bias;

  explicit BlockData(const InvertedResidualShape& s) : shape(s) {
    src = random_floats(std::size_t(s.channels_in) * s.height * s.width, 1);
    expand = random_floats(std::size_t(s.hidden) * s.channels_in, 2, 0.3f);
    expand_bias = random_floats(s.hidden, 3, 0.5f);
    depthwise = random_floats(std::size_t(s.hidden) * 9, 4, 0.5f);
    depthwise_bias = random_floats(s.hidden, 5, 0.5f);
    project = random_floats(std::size_t(s.channels_out) * s.hidden, 6, 0.2f);
    project_bias = random_floats(s.channels_out, 7, 0.5f);
  }

  InvertedResidualWeights weights() const {
    return {expand.data(),         expand_bias.data(), depthwise.data(),
            depthwise_bias.data(), project.data(),     project_bias.data()};
  }

  Map source() const { return exact_map(shape.channels_in, shape.height, shape.width, src); }

  void activate(Map& map) const {
    if (shape.activation == Activation::kRelu) relu(map);
    if (shape.activation == Activation::kSilu) silu(map);
  }

  // What the projection reads.
  Map filtered() const {
    Map map = conv1x1(source(), shape.hidden, expand, expand_bias);
    activate(map);
    map = conv3x3(map, shape.hidden, true, shape.stride, depthwise, depthwise_bias);
    activate(map);
    return map;
  }

  Map expected() const {
    Map map = conv1x1(filtered(), shape.channels_out, project, project_bias);
    if (shape.residual) add(map, source());
    return map;
  }
};

struct BlockRun {
  const InvertedResidualPlan& plan;
  Buffer packed, src, dst;

  BlockRun(const InvertedResidualPlan& p, const BlockData& data)
      : plan(p),
        packed(p.packed_bytes() / 4),
        src(p.shape.src().num_floats()),
        dst(p.shape.dst().num_floats()) {
    pack_inverted_residual(plan, data.weights(), packed.get());
    to_blocked(p.shape.src(), data.src.data(), src.get());
    std::fill_n(dst.get(), dst.size, 777.0f);
    zero_border(p.shape.dst(), dst.get());
  }

  void tiles(const KernelTable& table, int begin, int end, float* scratch) const {
    const InvertedResidualArgs args{
        .src = src.get(), .dst = dst.get(), .packed = packed.get(), .scratch = scratch};
    table.run_inverted_residual(plan, args, begin, end);
  }

  std::vector<float> result() const {
    const MapShape map = plan.shape.dst();
    std::vector<float> out(std::size_t(map.channels) * map.height * map.width);
    from_blocked(map, dst.get(), out.data());
    Buffer again(dst.size);
    to_blocked(map, out.data(), again.get());
    const auto same = [](float a, float b) { return a == b || (std::isnan(a) && std::isnan(b)); };
    EXPECT_TRUE(std::equal(dst.get(), dst.get() + dst.size, again.get(), same))
        << "the border or the padding channels are not zero";
    return out;
  }
};

// One call per range of `step` tiles, scratch full of NaN.
std::vector<float> run_block(const KernelTable& table, const InvertedResidualPlan& plan,
                             const BlockData& data, int step) {
  const BlockRun run(plan, data);
  Buffer scratch(plan.scratch_bytes() / 4);
  for (int tile = 0; tile < plan.tiles(); tile += step) {
    std::fill_n(scratch.get(), scratch.size, kNan);
    run.tiles(table, tile, std::min(tile + step, plan.tiles()), scratch.get());
  }
  return run.result();
}

class InvertedResidualTest : public ::testing::TestWithParam<Isa> {
 protected:
  const KernelTable& table = kernels(GetParam());

  void check(const InvertedResidualShape& shape, int rows, int step,
             Algorithm algorithm = Algorithm::kDirect) {
    SCOPED_TRACE(::testing::Message()
                 << isa_name(GetParam()) << " " << shape.channels_in << " > " << shape.hidden
                 << " > " << shape.channels_out << " " << shape.height << "x" << shape.width
                 << " stride " << shape.stride << " rows " << rows << " step " << step);
    const BlockData data(shape);
    const auto plan = plan_inverted_residual(table.panel_blocks, shape, rows, algorithm);
    const double slack = algorithm == Algorithm::kStrassen
                             ? strassen_bound(data.filtered(), data.project, data.project_bias)
                             : 0.0;
    EXPECT_EQ(mismatch(data.expected(), run_block(table, plan, data, step).data(), slack), "");
  }
};

TEST_P(InvertedResidualTest, AwkwardChannels) {
  const int channels[] = {1, 15, 16, 24, 48};
  for (int in : channels) {
    for (int hidden : {1, 17, 32, 48, 80}) {
      for (int out : channels) {
        const int stride = in == out ? 1 : 2;
        check({in, hidden, out, 7, 6, stride, Activation::kSilu, in == out}, 1 + hidden % 3,
              1 + in % 2);
      }
    }
  }
}

TEST_P(InvertedResidualTest, AwkwardSizes) {
  for (int height : {1, 2, 7, 16, 35}) {
    for (int width : {1, 2, 5, 13, 33}) {
      for (int stride : {1, 2}) {
        for (int rows : {1, 2, 5, 16}) {
          check({20, 33, 20, height, width, stride, Activation::kSilu, stride == 1}, rows, rows);
        }
      }
    }
  }
}

TEST_P(InvertedResidualTest, OtherActivations) {
  check({16, 48, 24, 9, 9, 2, Activation::kRelu}, 2, 1);
  check({16, 48, 16, 9, 9, 1, Activation::kNone, true}, 3, 2);
}

TEST_P(InvertedResidualTest, NetworkShapes) {
  check({16, 32, 16, 64, 128, 1, Activation::kSilu, true}, 2, 100);
  check({32, 128, 64, 64, 64, 2}, 3, 4);
  check({64, 256, 64, 32, 32, 1, Activation::kSilu, true}, 4, 3);
}

TEST_P(InvertedResidualTest, StrassenInTheProjection) {
  check({16, 64, 32, 9, 7, 1}, 3, 2, Algorithm::kStrassen);
  check({32, 128, 32, 8, 8, 1, Activation::kSilu, true}, 4, 1, Algorithm::kStrassen);
}

TEST_P(InvertedResidualTest, ThreadsAndTilesGiveTheSameBits) {
  const InvertedResidualShape shape{32, 112, 32, 21, 11, 1, Activation::kSilu, true};
  const BlockData data(shape);
  const auto whole = plan_inverted_residual(table.panel_blocks, shape, 16);
  const std::vector<float> expected = run_block(table, whole, data, 2);
  for (int threads : {1, 2, 3, 4}) {
    ThreadPool pool(threads);
    for (int rows : {1, 4}) {
      const auto plan = plan_inverted_residual(table.panel_blocks, shape, rows);
      const BlockRun run(plan, data);
      std::vector<Buffer> scratch;
      for (int i = 0; i < threads; ++i) scratch.emplace_back(plan.scratch_bytes() / 4);
      ASSERT_TRUE(pool.run(plan.tiles(), [&](int thread, int tile) {
        run.tiles(table, tile, tile + 1, scratch[std::size_t(thread)].get());
      }));
      EXPECT_EQ(run.result(), expected) << threads << " threads, rows " << rows;
    }
  }
}

TEST(InvertedResidualPlan, RejectsBadArguments) {
  EXPECT_NO_THROW(plan_inverted_residual(2, {16, 64, 32, 8, 8, 2}, 1));
  EXPECT_THROW(plan_inverted_residual(2, {0, 64, 32, 8, 8, 2}, 1), std::invalid_argument);
  EXPECT_THROW(plan_inverted_residual(2, {16, 64, 32, 8, 8, 3}, 1), std::invalid_argument);
  EXPECT_THROW(plan_inverted_residual(2, {16, 64, 32, 8, 8, 2}, 0), std::invalid_argument);
  EXPECT_THROW(plan_inverted_residual(2, {16, 64, 32, 8, 8, 2}, 17), std::invalid_argument);
  EXPECT_THROW(plan_inverted_residual(2, {16, 64, 32, 8, 8, 1, Activation::kSilu, true}, 1),
               std::invalid_argument);
  EXPECT_THROW(plan_inverted_residual(2, {16, 64, 16, 8, 8, 2, Activation::kSilu, true}, 1),
               std::invalid_argument);
  EXPECT_THROW(plan_inverted_residual(2, {16, 64, 48, 8, 8, 1}, 1, Algorithm::kStrassen),
               std::invalid_argument);
}

INSTANTIATE_TEST_SUITE_P(Isas, InvertedResidualTest, ::testing::ValuesIn(supported_isas()),
                         [](const auto& isa) { return std::string(isa_name(isa.param)); });

}  // namespace
}  // namespace mobileone::kernels::testing
