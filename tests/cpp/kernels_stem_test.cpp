// The stem, alone and fused with the first block, against the float64 reference.
#include "kernels_conv_testing.hpp"
#include "kernels_stem_testing.hpp"

namespace mobileone::kernels::testing {
namespace {

using namespace mobileone::kernels::reference;

using StemTest = KernelTest;

// Row ranges of `step`, interior and border.
std::vector<float> run_stem(const KernelTable& table, const StemData& data, int step) {
  const MapShape shape = data.plan.dst();
  Buffer dst(shape.num_floats());
  const Buffer scratch = poisoned(data.plan.scratch_bytes());
  const StemArgs args{data.image.data(), dst.get(), data.packed.get(), scratch.get()};
  for (int row = 0; row < shape.height; row += step) {
    table.run_stem(data.plan, args, row, std::min(row + step, shape.height));
  }
  return interior(shape, dst);
}

constexpr Algorithm kAlgorithms[] = {Algorithm::kDirect, Algorithm::kStrassen};

TEST_P(StemTest, MatchesReference) {
  for (Algorithm algorithm : kAlgorithms) {
    for (int channels : {1, 16, 48, 64, 97}) {
      for (auto [height, width] :
           {std::pair{1, 1}, {2, 7}, {7, 2}, {13, 31}, {32, 33}, {57, 128}, {30, 67}}) {
        const StemData data(table, height, width, channels,
                            kActivations[channels % std::size(kActivations)], algorithm);
        const Map expected = data.reference();
        std::vector<float> first;
        for (int step : {1000, 1, 2, 3}) {
          SCOPED_TRACE(::testing::Message()
                       << channels << " channels, " << height << "x" << width << ", " << step
                       << " rows per call" << (data.plan.by_windows() ? ", windows" : ""));
          const std::vector<float> got = run_stem(table, data, step);
          EXPECT_EQ(mismatch(expected, got.data()), "");
          if (first.empty()) first = got;
          EXPECT_EQ(first, got);  // the same bits
        }
      }
    }
  }
}

::testing::Message fused_case(const KernelTable& table, const StemPlan& stem, int out,
                              const Tiling& tiling, int step) {
  return ::testing::Message() << label(table) << (stem.by_windows() ? ", windows, " : " ")
                              << stem.channels << " to " << out << " channels, " << stem.height
                              << "x" << stem.width << ", rows " << tiling.tile_rows << ", " << step
                              << " tiles per call";
}

void check_stem_block(const KernelTable& table, int height, int width, int channels, int out,
                      const Tiling& tiling, int step, Activation activation = Activation::kRelu) {
  for (Algorithm stem : kAlgorithms) {
    const StemData data(table, height, width, channels, activation, stem);
    SCOPED_TRACE(fused_case(table, data.plan, out, tiling, step));
    BlockShape shape = first_block(data.plan.dst(), out);
    shape.depthwise_activation = shape.project.activation = activation;
    const BlockData block_data(shape);
    const BlockPlan block = plan_block(table.traits, shape, tiling);
    const StemBlockPlan plan = plan_stem_block(data.plan, block);
    Buffer packed(block.packed_bytes() / 4), dst(shape.dst().num_floats());
    pack_block(block, block_data.weights(), packed.get());
    const Buffer scratch = poisoned(plan.scratch_bytes());
    const StemBlockArgs args{data.image.data(), dst.get(), data.packed.get(), packed.get(),
                             scratch.get()};
    for (int tile = 0; tile < block.tiles(); tile += step) {
      table.run_stem_block(plan, args, tile, std::min(tile + step, block.tiles()));
    }
    const Map t = block_data.filtered(data.reference());
    const Map expected = block_data.projected(t);
    double slack = 0.0;
    if (block.project.strassen()) {
      slack = strassen_bound(t, block_data.project, block_data.project_bias);
    }
    std::vector<float> got(expected.value.size());
    from_blocked(shape.dst(), dst.get(), got.data());
    EXPECT_EQ(mismatch(expected, got.data(), slack), "");

    // The same bits as a stored map of the stem gives, whatever is made of it at a time.
    Buffer map(data.plan.dst().num_floats()), stored(shape.dst().num_floats());
    const Buffer own = poisoned(data.plan.scratch_bytes()), rest = poisoned(block.scratch_bytes());
    table.run_stem(data.plan, {data.image.data(), map.get(), data.packed.get(), own.get()}, 0,
                   shape.height);
    BlockArgs block_args;
    block_args.src = map.get();
    block_args.dst = stored.get();
    block_args.packed = packed.get();
    block_args.scratch = rest.get();
    table.run_block(block, block_args, 0, block.units());
    std::vector<float> apart(got.size());
    from_blocked(shape.dst(), stored.get(), apart.data());
    EXPECT_EQ(apart, got);
  }
}

TEST_P(StemTest, FusedWithTheFirstBlock) {
  for (auto [height, width] : {std::pair{1, 1}, {2, 5}, {3, 3}, {13, 31}, {34, 57}, {64, 64}}) {
    for (int step : {1, 2, 1000}) {
      check_stem_block(table, height, width, 48, 48, {Algorithm::kDirect, 2}, step);
      check_stem_block(table, height, width, 17, 33, {Algorithm::kDirect, 3}, step);
      check_stem_block(table, height, width, 16, 24, {Algorithm::kDirect, 2}, step,
                       Activation::kSilu);
    }
  }
  for (int width : {53, 56, 57, 61, 63, 65, 119, 129}) {  // around the ends of strips
    check_stem_block(table, 9, width, 48, 48, {Algorithm::kDirect, 1}, 1);
    check_stem_block(table, 11, width, 80, 33, {Algorithm::kDirect, 2}, 1000);
  }
  check_stem_block(table, 224, 224, 64, 96, {Algorithm::kDirect, 4}, 5);
  check_stem_block(table, 64, 64, 64, 96, {Algorithm::kStrassen, 4}, 2);
  check_stem_block(table, 257, 131, 64, 64, {Algorithm::kDirect, 7}, 3);
}

ConvShape second_conv(const MapShape& stem, int out) {
  ConvShape shape{stem.channels, 0, out, stem.height, stem.width, 3};
  shape.epilogue.activation = Activation::kRelu;
  shape.stride = 2;
  return shape;
}

// The bounds of a direct convolution; fewer products give what they give of a stored map.
void check_stem_conv(const KernelTable& table, int height, int width, int channels, int out,
                     const Tiling& tiling, int step, Activation activation = Activation::kRelu) {
  for (Algorithm stem : kAlgorithms) {
    const StemData data(table, height, width, channels, activation, stem);
    SCOPED_TRACE(fused_case(table, data.plan, out, tiling, step));
    const MapShape between = data.plan.dst();
    const ConvShape shape = second_conv(between, out);
    const ConvData second(shape);  // its weights
    const ConvPlan conv_plan = plan_conv(table.traits, shape, tiling);
    const StemConvPlan plan = plan_stem_conv(data.plan, conv_plan);
    Buffer packed(conv_plan.packed_bytes() / 4), dst(shape.dst().num_floats());
    pack_conv(conv_plan, second.weight.data(), second.bias.data(), packed.get());
    const Buffer scratch = poisoned(plan.scratch_bytes());
    const StemConvArgs args{data.image.data(), dst.get(), data.packed.get(), packed.get(),
                            scratch.get()};
    for (int tile = 0; tile < conv_plan.units(); tile += step) {
      table.run_stem_conv(plan, args, tile, std::min(tile + step, conv_plan.units()));
    }
    std::vector<float> got(std::size_t(out) * shape.out_height() * shape.out_width());
    from_blocked(shape.dst(), dst.get(), got.data());
    if (tiling.algorithm == Algorithm::kDirect) {
      const Map map = conv(data.reference(), out, {3, 2, false}, second.weight, second.bias);
      EXPECT_EQ(mismatch(second.finish(map), got.data()), "");
    }
    Buffer map(between.num_floats());
    const Buffer stem_scratch = poisoned(data.plan.scratch_bytes());
    table.run_stem(data.plan, {data.image.data(), map.get(), data.packed.get(), stem_scratch.get()},
                   0, between.height);
    ConvData stored = second;
    from_blocked(between, map.get(), stored.src.data());
    EXPECT_EQ(run_conv(table, conv_plan, stored, 1), got);
  }
}

TEST_P(StemTest, FusedWithAConvolution) {
  for (auto [height, width] : {std::pair{1, 1}, {2, 5}, {13, 31}, {34, 57}, {58, 121}, {64, 64}}) {
    for (int step : {1, 2, 1000}) {
      check_stem_conv(table, height, width, 32, 48, {Algorithm::kDirect, 2}, step);
      check_stem_conv(table, height, width, 17, 33, {Algorithm::kDirect, 3}, step);
      check_stem_conv(table, height, width, 24, 16, {Algorithm::kDirect, 1}, step,
                      Activation::kSilu);
    }
  }
  for (int step : {1, 3, 1000}) {
    check_stem_conv(table, 64, 64, 32, 48, {Algorithm::kStrassen, 2}, step);
    check_stem_conv(table, 61, 64, 17, 33, {Algorithm::kStrassen, 6}, step, Activation::kGelu);
    check_stem_conv(table, 64, 94, 48, 48, {Algorithm::kStrassen, 4}, step);
  }
}

TEST(StemPlan, RejectsOtherConvolutions) {
  const StemPlan stem = plan_stem(avx512::kTraits, 32, 32, 48);
  const auto plan = [&](auto change, int parts = 1) {
    ConvShape shape = second_conv(stem.dst(), 64);
    change(shape);
    return plan_stem_conv(stem, plan_conv(avx512::kTraits, shape, {Algorithm::kDirect, 2, parts}));
  };
  EXPECT_NO_THROW(plan([](ConvShape&) {}));
  EXPECT_THROW(plan([](ConvShape&) {}, 2), std::invalid_argument);
  EXPECT_THROW(plan([](ConvShape& s) { s.stride = 1; }), std::invalid_argument);
  EXPECT_THROW(plan([](ConvShape& s) { s.kernel = 1; }), std::invalid_argument);
  EXPECT_THROW(plan([](ConvShape& s) { s.height = 15; }), std::invalid_argument);
  EXPECT_THROW(plan([](ConvShape& s) { s.channels_in = 64; }), std::invalid_argument);
  EXPECT_THROW(plan([](ConvShape& s) { s.channels_in2 = 16; }), std::invalid_argument);
  EXPECT_THROW(plan([](ConvShape& s) { s.epilogue.residual = true; }), std::invalid_argument);
}

TEST(StemPlan, RejectsBadArguments) {
  EXPECT_THROW(plan_stem(avx512::kTraits, 0, 8, 16), std::invalid_argument);
  EXPECT_THROW(plan_stem(avx512::kTraits, 8, 8, 0), std::invalid_argument);
  IsaTraits pairs = avx512::kTraits;
  pairs.per_lane = 2;
  EXPECT_THROW(plan_stem(pairs, 8, 8, 16, Activation::kRelu, Algorithm::kStrassen),
               std::invalid_argument);
  const StemPlan stem = plan_stem(avx512::kTraits, 32, 32, 48);
  const auto plan = [&](auto change) {
    BlockShape shape = first_block(stem.dst(), 48);
    change(shape);
    return plan_stem_block(stem, plan_block(avx512::kTraits, shape, {}));
  };
  EXPECT_NO_THROW(plan([](BlockShape&) {}));
  EXPECT_THROW(plan([](BlockShape& s) { s.stride = 1; }), std::invalid_argument);
  EXPECT_THROW(plan([](BlockShape& s) { s.height = s.width = 15; }), std::invalid_argument);
  EXPECT_THROW(plan([](BlockShape& s) { s.channels_in = 64; }), std::invalid_argument);
  EXPECT_THROW(plan([](BlockShape& s) { s.kernel = 5; }), std::invalid_argument);
  EXPECT_THROW(plan([](BlockShape& s) { s.expanded = 96; }), std::invalid_argument);
  EXPECT_THROW(plan([](BlockShape& s) { s.excite = ExcitePlace::kAfterActivation; }),
               std::invalid_argument);
}

MOBILEONE_FOR_ALL_TABLES(StemTest);

}  // namespace
}  // namespace mobileone::kernels::testing
