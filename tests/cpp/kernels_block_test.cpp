// Blocks in all their forms against their float64 reference, on every instruction set: kernels of
// 3, 5 and 7, with and without expansion, squeeze-and-excite and residual, every activation.
#include "kernels_block_testing.hpp"
#include "mobileone/base/thread_pool.hpp"
#include "mobileone/kernels/tiling/conv_tiling.hpp"

namespace mobileone::kernels::testing {
namespace {

constexpr ExcitePlace kPlaces[] = {ExcitePlace::kNone, ExcitePlace::kBeforeActivation,
                                   ExcitePlace::kAfterActivation};

// As MobileNetV3's, with its activation's place taken by `activation`.
BlockShape block(int in, int expanded, int out, int size, int kernel, Activation activation) {
  BlockShape shape;
  shape.channels_in = in;
  shape.expanded = expanded;
  shape.channels_out = out;
  shape.height = shape.width = size;
  shape.kernel = kernel;
  shape.expand_activation = shape.depthwise_activation = activation;
  shape.project.residual = in == out;
  return shape;
}

class BlockTest : public KernelTest {
 protected:
  void check(const BlockShape& shape, const Tiling& tiling, int step = 1) {
    check_block(table, shape, tiling, step);
  }
};

// Walks a list with a step of its own: every pair of lists of coprime lengths is met.
template <std::size_t kSize>
int cycled(const int (&values)[kSize], int index) {
  return values[std::size_t(index) % kSize];
}

TEST_P(BlockTest, EveryFormAtAwkwardShapes) {
  const int channels[] = {1, 3, 15, 16, 17, 48, 97}, sizes[] = {1, 2, 7, 13, 28};
  int index = 0;
  for (int kernel : {3, 5, 7}) {
    for (int stride : {1, 2}) {
      for (int ratio : {0, 3}) {
        for (ExcitePlace place : kPlaces) {
          for (Activation activation : kActivations) {
            ++index;
            const int in = cycled(channels, index);
            const bool residual = stride == 1 && index % 2 == 0;
            BlockShape shape = block(in, ratio * in, residual ? in : cycled(channels, index / 3),
                                     cycled(sizes, index), kernel, activation);
            shape.width = cycled(sizes, index / 2);
            shape.stride = stride;
            shape.excite = place;
            shape.project = {index % 4 < 2 ? Activation::kNone : activation, residual};
            check(shape, {Algorithm::kDirect, 1 + index % 5, 1 + index % 3}, 1 + index % 4);
          }
        }
      }
    }
  }
}

TEST_P(BlockTest, WideKernelsAtAllWidths) {
  for (int kernel : {5, 7}) {
    for (int width = 1; width <= 30; ++width) {
      for (int stride : {1, 2}) {
        BlockShape shape = block(16, width % 2 * 32, 16, 6, kernel, Activation::kRelu);
        shape.width = width;
        shape.stride = stride;
        shape.project.residual = stride == 1;
        check(shape, {Algorithm::kDirect, 1 + width % 4}, 2);
      }
    }
  }
}

// The last block's upper half is padding, which is not multiplied: every number of pixels, and of
// whole blocks before it.
TEST_P(BlockTest, HalfBlocksOfOutput) {
  int index = 0;
  for (int out : {17, 24, 25, 33, 40, 49, 56, 57, 72}) {
    for (int width = 1; width <= 15; ++width) {
      BlockShape shape = block(13, 0, out, 3, 3, kActivations[std::size_t(++index) % 3]);
      shape.width = width;
      shape.excite = kPlaces[std::size_t(index) % 3];
      check(shape, {Algorithm::kDirect, 1 + index % 3, 1 + index % 2}, 1 + index % 3);
    }
  }
  for (bool hard : {false, true}) {  // factors multiply a copy of the weights
    BlockShape shape = block(24, 72, 24, 28, 5, Activation::kHardSwish);
    shape.excite = ExcitePlace::kAfterActivation;
    check_block(table, shape, {Algorithm::kDirect, 9}, 1, hard);
  }
}

TEST_P(BlockTest, TilesAreAsTallAsEachOther) {
  for (int height = 1; height <= 40; ++height) {
    for (int rows = 1; rows <= height; ++rows) {
      for (int width : {6, 7}) {
        for (Algorithm algorithm : {Algorithm::kDirect, Algorithm::kStrassen}) {
          BlockShape shape = block(32, 0, 32, height, 3, Activation::kRelu);
          shape.width = width;
          const BlockPlan plan = plan_block(table.traits, shape, {algorithm, rows});
          const int step = algorithm == Algorithm::kStrassen ? 1 + width % 2 : 1;
          int least = height, most = 0;
          for (int tile = 0; tile < plan.tiles(); ++tile) {
            const int begin = plan.first_row(tile), end = plan.first_row(tile + 1);
            EXPECT_EQ(begin % step, 0);
            if (end < height || height % step == 0) least = std::min(least, end - begin);
            most = std::max(most, end - begin);
          }
          EXPECT_EQ(plan.first_row(0), 0);
          EXPECT_EQ(plan.first_row(plan.tiles()), height);
          EXPECT_GT(least, 0);
          EXPECT_LE(most, plan.tile_rows);
          EXPECT_LE(most - least, step) << height << ' ' << rows << ' ' << width;
        }
      }
    }
  }
}

TEST_P(BlockTest, GatesAndActivationsOfTheSqueezeExcite) {
  for (ExcitePlace place : kPlaces) {
    for (Activation gate : {Activation::kSigmoid, Activation::kHardSigmoid}) {
      for (Activation activation : {Activation::kRelu, Activation::kSilu}) {
        BlockShape shape = block(24, 72, 40, 9, 5, Activation::kSilu);
        shape.excite = place;
        shape.project.residual = false;
        BlockData data(shape);
        data.excite.se.gate = gate;
        data.excite.se.activation = activation;
        const BlockPlan plan = plan_block(table.traits, shape, {Algorithm::kDirect, 2});
        EXPECT_EQ(reference::mismatch(data.expected(), run_block(table, plan, data, 1).data()), "");
      }
    }
  }
}

TEST_P(BlockTest, NetworkShapes) {
  BlockShape v3 = block(40, 240, 40, 28, 5, Activation::kRelu);
  v3.excite = ExcitePlace::kAfterActivation;
  check(v3, {Algorithm::kDirect, 4});
  v3 = block(112, 672, 112, 14, 5, Activation::kHardSigmoid);
  v3.excite = ExcitePlace::kAfterActivation;
  check(v3, {Algorithm::kDirect, 7});
  v3.channels_out = 160;
  v3.stride = 2;
  v3.project.residual = false;
  check(v3, {Algorithm::kDirect, 7, 2});
  check(block(64, 0, 128, 28, 7, Activation::kRelu6), {Algorithm::kDirect, 5}, 2);
}

TEST_P(BlockTest, Strassen) {
  for (ExcitePlace place : kPlaces) {
    for (int expanded : {0, 96}) {
      for (int kernel : {3, 5}) {
        BlockShape shape = block(32, expanded, 64, 11, kernel, Activation::kSilu);
        shape.excite = place;
        shape.project = {Activation::kRelu, false};
        check(shape, {Algorithm::kStrassen, 3, 2}, 2);
        shape.channels_out = 32;
        shape.project.residual = true;
        check(shape, {Algorithm::kStrassen, 11});
      }
    }
  }
}

// Pooled sums are taken row by row: neither tiles nor threads may change them.
TEST_P(BlockTest, ThreadsAndTilesGiveTheSameBits) {
  for (ExcitePlace place : kPlaces) {
    BlockShape shape = block(24, 80, 24, 14, 5, Activation::kRelu6);
    shape.excite = place;
    const BlockData data(shape);
    const auto whole = plan_block(table.traits, shape, {Algorithm::kDirect, 14});
    const std::vector<float> expected = run_block(table, whole, data, 1);
    for (int threads : {1, 2, 3}) {
      ThreadPool pool(threads);
      for (int rows : {1, 4}) {
        const auto plan = plan_block(table.traits, shape, {Algorithm::kDirect, rows, threads});
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
}

TEST_P(BlockTest, NanStaysInItsWindow) {
  BlockShape shape = block(16, 0, 32, 9, 5, Activation::kRelu);
  BlockData data(shape);
  data.src[0] = std::numeric_limits<float>::quiet_NaN();
  const auto plan = plan_block(table.traits, shape, {Algorithm::kDirect, 4});
  const std::vector<float> got = run_block(table, plan, data, 1);
  for (int pixel = 0; pixel < 81; ++pixel) {
    EXPECT_EQ(std::isnan(got[std::size_t(pixel)]), pixel / 9 < 3 && pixel % 9 < 3) << pixel;
  }
}

TEST_P(BlockTest, TilingsThatTheModelChooses) {
  const MachineModel machine{48e3, 1e6, 2e11, 1e11, 3e10};
  for (ExcitePlace place : kPlaces) {
    for (int threads : {1, 4}) {
      BlockShape shape = block(24, 144, 24, 28, 5, Activation::kRelu);
      shape.excite = place;
      using enum AlgorithmChoice;
      const Tiling tiling = choose_tiling(table, machine, shape, {kAuto, threads});
      EXPECT_EQ(tiling.algorithm, Algorithm::kDirect);
      EXPECT_GE(tiling.tile_rows, 1);
      check(shape, tiling, 2);
    }
  }
}

TEST(BlockPlan, RejectsBadArguments) {
  const BlockShape good = block(32, 64, 32, 8, 5, Activation::kRelu);
  const auto plan = [](const BlockShape& shape, const Tiling& tiling = {}) {
    return plan_block(avx512::kTraits, shape, tiling);
  };
  EXPECT_NO_THROW(plan(good));
  const auto rejects = [&](auto change) {
    BlockShape shape = good;
    change(shape);
    EXPECT_THROW(plan(shape), std::invalid_argument);
  };
  rejects([](BlockShape& s) { s.channels_in = 0; });
  rejects([](BlockShape& s) { s.channels_out = 0; });
  rejects([](BlockShape& s) { s.expanded = -1; });
  rejects([](BlockShape& s) { s.height = 0; });
  rejects([](BlockShape& s) { s.kernel = 4; });
  rejects([](BlockShape& s) { s.kernel = 9; });
  rejects([](BlockShape& s) { s.stride = 3; });
  rejects([](BlockShape& s) { s.stride = 2; });  // with a residual
  rejects([](BlockShape& s) { s.channels_out = 16; });
  EXPECT_THROW(plan(good, {Algorithm::kDirect, 0}), std::invalid_argument);
  EXPECT_THROW(plan(good, {Algorithm::kDirect, 1, 0}), std::invalid_argument);
  EXPECT_NO_THROW(plan(good, {Algorithm::kStrassen, 2}));
  EXPECT_THROW(plan(block(32, 80, 32, 8, 5, Activation::kRelu), {Algorithm::kStrassen, 2}),
               std::invalid_argument);
  EXPECT_THROW(plan(block(32, 64, 31, 8, 5, Activation::kRelu), {Algorithm::kStrassen, 2}),
               std::invalid_argument);
}

MOBILEONE_FOR_ALL_TABLES(BlockTest);

}  // namespace
}  // namespace mobileone::kernels::testing
