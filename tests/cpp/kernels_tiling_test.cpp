// How blocks are cut up: the cost model, what it knows of the machine, and the same bits on any
// number of threads.
#include <stdexcept>
#include <string_view>

#include "kernels_block_testing.hpp"
#include "mobileone/base/thread_pool.hpp"
#include "mobileone/kernels/tiling/cost_model.hpp"
#include "mobileone/kernels/tiling/stem_tiling.hpp"

namespace mobileone::kernels::testing {
namespace {

// Whatever the number of threads and the cost model choose, the result is the same to the bit as
// long as the algorithm is.
TEST(ThreadedBlock, IsBitwiseEqualForAnyNumberOfThreads) {
  for (Isa isa : supported_isas()) {
    const KernelTable& table = kernels(isa);
    const BlockShape shape = pair(64, 160, 14, 14, 1);
    const auto dw = random_floats(64 * 9, 1), pw = random_floats(64 * 160, 2);
    const auto image = random_floats(64 * 14 * 14, 3);
    Buffer src(shape.src().num_floats());
    to_blocked(shape.src(), image.data(), src.get());
    std::vector<float> expected;
    for (int threads : {1, 2, 3, 4}) {
      ThreadPool pool(threads);
      const Tiling tiling =
          choose_tiling(table, machine_model(table), shape, {AlgorithmChoice::kDirect, threads});
      EXPECT_EQ(tiling.algorithm, Algorithm::kDirect);
      const BlockPlan plan = plan_block(table.traits, shape, tiling);
      EXPECT_GE(plan.units(), threads);
      Buffer packed(plan.packed_bytes() / 4), dst(shape.dst().num_floats());
      pack_block(plan, {.depthwise = dw.data(), .project = pw.data()}, packed.get());
      std::vector<Buffer> scratch;
      for (int i = 0; i < threads; ++i) scratch.emplace_back(plan.scratch_bytes() / 4);
      ASSERT_TRUE(pool.run(plan.units(), [&](int thread, int unit) {
        BlockArgs args;
        args.src = src.get();
        args.dst = dst.get();
        args.packed = packed.get();
        args.scratch = scratch[thread].get();
        table.run_block(plan, args, unit, unit + 1);
      }));
      const std::vector<float> got(dst.get(), dst.get() + dst.size);
      if (threads == 1) expected = got;
      EXPECT_EQ(got, expected) << isa_name(isa) << ", " << threads << " threads";
    }
  }
}

TEST(CostModel, Stems) {
  for (Isa isa : supported_isas()) {
    const KernelTable& table = kernels(isa);
    const MachineModel machine{48e3, 2e6, 2e11, 1e11, 3e10};
    const auto algorithm = [&](int size, int channels, AlgorithmChoice choice) {
      const StemPlan stem = plan_stem(table.traits, size, size, channels);
      const Tiling tiling = choose_tiling(table, machine, stem, {.choice = choice});
      EXPECT_EQ(tiling.tile_rows, stem.out_height());
      return tiling.algorithm;
    };
    using enum AlgorithmChoice;
    EXPECT_EQ(algorithm(224, 48, kAuto), Algorithm::kStrassen);
    EXPECT_EQ(algorithm(224, 48, kDirect), Algorithm::kDirect);
    EXPECT_EQ(algorithm(1, 48, kAuto), Algorithm::kDirect);  // a fourth of a window
    EXPECT_EQ(algorithm(1, 48, kStrassen), Algorithm::kStrassen);
  }
  const KernelTable& rounded = emulation(Precision::kBfloat16);
  const StemPlan stem = plan_stem(rounded.traits, 224, 224, 48);
  EXPECT_EQ(
      choose_tiling(rounded, machine_model(rounded), stem, {AlgorithmChoice::kStrassen}).algorithm,
      Algorithm::kDirect);
}

// The model is not asked for exact times, but for choices that hold by construction.
TEST(CostModel, Choices) {
  for (Isa isa : supported_isas()) {
    const KernelTable& table = kernels(isa);
    const MachineModel machine{48e3, 2e6, 2e11, 1e11, 3e10};
    const BlockShape wide = pair(512, 512, 14, 14, 1), odd = pair(48, 48, 7, 7, 1),
                     narrow = pair(32, 32, 56, 56, 1);
    using enum AlgorithmChoice;
    EXPECT_EQ(choose_tiling(table, machine, wide, {kAuto, 1}).algorithm, Algorithm::kStrassen);
    EXPECT_EQ(choose_tiling(table, machine, wide, {kDirect, 1}).algorithm, Algorithm::kDirect);
    EXPECT_EQ(choose_tiling(table, machine, odd, {kStrassen, 1}).algorithm, Algorithm::kDirect);
    EXPECT_EQ(choose_tiling(table, machine, narrow, {kAuto, 1}).algorithm, Algorithm::kDirect);
    EXPECT_EQ(choose_tiling(table, machine, narrow, {kStrassen, 1}).algorithm,
              Algorithm::kStrassen);
    // Where weights come slowly, they are read once: the whole map is one tile.
    MachineModel slow = machine;
    slow.far_bytes_per_second = 1e9;
    EXPECT_EQ(choose_tiling(table, slow, wide, {kAuto, 1}).tile_rows, 14);
    for (int threads : {2, 3, 4}) {
      const Tiling tiling = choose_tiling(table, machine, wide, {kAuto, threads});
      EXPECT_GE(plan_block(table.traits, wide, tiling).units(), threads);
    }
  }
}

// Two levels of Strassen's algorithm where they are asked for and apply, for any number of threads.
TEST(CostModel, LevelsOfStrassen) {
  if (detect_isa() != Isa::kAvx512) GTEST_SKIP() << "panels of AVX-512";
  const KernelTable& table = kernels(Isa::kAvx512);
  const MachineModel& zen5 = find_machine("AuthenticAMD", 0x1a, 0x44).model(Isa::kAvx512);
  const auto levels = [&](const MachineModel& machine, int channels, const TilingRequest& request) {
    const BlockShape shape = pair(channels, channels, 14, 14, 1);
    return static_cast<int>(choose_tiling(table, machine, shape, request).algorithm);
  };
  for (int channels : {512, 640}) {
    EXPECT_EQ(levels(zen5, channels, {}), 1);
    EXPECT_EQ(levels(zen5, channels, {.choice = AlgorithmChoice::kStrassen}), 1);
  }
  for (int threads : {1, 2, 3}) {
    const TilingRequest exact{.choice = AlgorithmChoice::kStrassen,
                              .threads = threads,
                              .most_levels = 2,
                              .least_levels = 2};
    EXPECT_EQ(levels(zen5, 640, exact), 2);
    EXPECT_EQ(levels(zen5, 96, exact), 1);  // six blocks
  }
}

void expect_plausible(const MachineModel& machine) {
  EXPECT_GE(machine.l1_bytes, 8 << 10);
  EXPECT_GE(machine.l2_bytes, machine.l1_bytes);
  EXPECT_GT(machine.peak_flops, 1e9);
  EXPECT_GT(machine.l2_bytes_per_second, 1e8);
  EXPECT_GT(machine.far_bytes_per_second, 1e7);
}

TEST(Machine, MeasuresPlausibleNumbers) {
  for (Isa isa : supported_isas()) expect_plausible(measure_machine(kernels(isa)));
}

TEST(Machine, IsKnownByVendorFamilyAndModel) {
  EXPECT_EQ(find_machine("GenuineIntel", 6, 0xcf).name, "emerald-rapids");
  EXPECT_EQ(find_machine("GenuineIntel", 6, 0x8f).name, "emerald-rapids");
  EXPECT_EQ(find_machine("GenuineIntel", 6, 0x55).name, "cascade-lake");
  EXPECT_EQ(find_machine("AuthenticAMD", 0x1a, 0x44).name, "zen5");
  EXPECT_EQ(find_machine("AuthenticAMD", 0x19, 0x61).name, "other");
  EXPECT_EQ(find_machine("", 0, 0).name, "other");
}

TEST(Machine, CanBeForced) {
  const std::string_view own = this_machine().name;
  for (const KnownMachine& machine : known_machines()) {
    force_machine(machine.name);
    EXPECT_EQ(this_machine().name, machine.name);
    for (Isa isa : supported_isas()) {
      const MachineModel model = machine_model(kernels(isa));
      expect_plausible(model);
      EXPECT_EQ(model.l2_bytes, machine.model(Isa::kAvx512).l2_bytes);
    }
  }
  force_machine("");
  EXPECT_EQ(this_machine().name, own);
  EXPECT_THROW(force_machine("abacus"), std::invalid_argument);
}

}  // namespace
}  // namespace mobileone::kernels::testing
