// Global pool, squeeze-and-excite (alone and inside a block), classifier, and the choice of the
// instruction set.
#include <gtest/gtest.h>

#include "kernels_testing.hpp"
#include "mobileone/kernels/kernels.hpp"
#include "mobileone/kernels/reference/reference.hpp"

namespace mobileone::kernels::testing {
namespace {

using namespace mobileone::kernels::reference;

class HeadTest : public ::testing::TestWithParam<Isa> {
 protected:
  const KernelTable& table = kernels(GetParam());
};

struct SeData {
  std::vector<float> w1, b1, w2, b2;
  Buffer packed;
  SqueezeExcite se;

  SeData(int channels, int reduced, unsigned seed)
      : w1(random_floats(std::size_t(channels) * reduced, seed, 0.4f)),
        b1(random_floats(reduced, seed + 1)),
        w2(random_floats(std::size_t(channels) * reduced, seed + 2, 0.8f)),
        b2(random_floats(channels, seed + 3)),
        packed(SqueezeExcite{channels, reduced, nullptr}.packed_floats()),
        se{channels, reduced, packed.get()} {
    pack_squeeze_excite(channels, reduced, w1.data(), b1.data(), w2.data(), b2.data(),
                        packed.get());
  }
  Map scale(const Map& means) const {
    return squeeze_excite_scale(means, se.reduced, w1, b1, w2, b2);
  }
};

TEST_P(HeadTest, GlobalPool) {
  for (int channels : {1, 15, 16, 17, 97}) {
    for (auto [height, width] : {std::pair{1, 1}, {7, 7}, {13, 2}, {56, 33}}) {
      const auto data = random_floats(std::size_t(channels) * height * width, 1);
      const MapShape shape{channels, height, width};
      Buffer map(shape.num_floats()), got(padded(channels)), scale(padded(channels));
      to_blocked(shape, data.data(), map.get());
      table.global_pool(shape, map.get(), nullptr, got.get());
      Map expected = mean(exact_map(channels, height, width, data));
      EXPECT_EQ(mismatch(expected, got.get()), "") << channels << " " << height << "x" << width;
      const auto factors = random_floats(channels, 2);
      std::copy(factors.begin(), factors.end(), scale.get());
      table.global_pool(shape, map.get(), scale.get(), got.get());
      multiply(expected, exact_map(channels, 1, 1, factors));
      EXPECT_EQ(mismatch(expected, got.get()), "") << channels << " " << height << "x" << width;
    }
  }
}

TEST_P(HeadTest, SqueezeExcite) {
  for (auto [channels, reduced] : {std::pair{1, 1}, {16, 1}, {17, 3}, {97, 6}, {448, 28}}) {
    const SeData data(channels, reduced, 5);
    constexpr int kPixels = 49;
    const auto map = random_floats(std::size_t(channels) * kPixels, 1);
    const Map means = mean(exact_map(channels, 7, 7, map));
    Buffer sums(padded(channels)), hidden(padded(reduced)), scale(padded(channels));
    for (int c = 0; c < channels; ++c) {
      for (int p = 0; p < kPixels; ++p) sums.get()[c] += map[std::size_t(c) * kPixels + p];
    }
    table.squeeze_excite(data.se, sums.get(), kPixels, hidden.get(), scale.get());
    EXPECT_EQ(mismatch(data.scale(means), scale.get()), "") << channels << ", " << reduced;
  }
}

TEST_P(HeadTest, SigmoidSaturatesWithoutNan) {
  const int channels = 16;
  SeData data(channels, 1, 1);
  for (int c = 0; c < channels; ++c) data.b2[c] = (c % 2 == 0 ? 1.0f : -1.0f) * 30.0f * float(c);
  std::fill(data.w2.begin(), data.w2.end(), 0.0f);
  pack_squeeze_excite(channels, 1, data.w1.data(), data.b1.data(), data.w2.data(), data.b2.data(),
                      data.packed.get());
  Buffer sums(16), hidden(16), scale(16);
  table.squeeze_excite(data.se, sums.get(), 1, hidden.get(), scale.get());
  const double u = std::ldexp(1.0, -24);
  for (int c = 0; c < channels; ++c) {
    const double expected = 1.0 / (1.0 + std::exp(-double(data.b2[c])));
    EXPECT_NEAR(scale.get()[c], expected, (12.0 + std::abs(data.b2[c]) / 4.0) * u) << data.b2[c];
  }
}

// A block with squeeze-and-excite after both convolutions, fed by a map that is still to be scaled.
TEST_P(HeadTest, BlockWithSqueezeExcite) {
  for (auto [in, out, size] :
       {std::tuple{32, 64, 14}, {64, 96, 7}, {32, 32, 1}, {17, 33, 7}, {48, 16, 5}}) {
    for (Algorithm algorithm : {Algorithm::kDirect, Algorithm::kStrassen}) {
      DwPwShape shape{in, out, size, size, 1};
      shape.depthwise_se = true;
      if (algorithm == Algorithm::kStrassen && !strassen_applies(shape)) continue;
      SCOPED_TRACE(::testing::Message() << in << " " << out << " " << size);
      const int rows = algorithm == Algorithm::kStrassen ? 4 : 2;
      const auto plan = plan_dwpw(table.panel_blocks, shape, {algorithm, rows, 2});
      const auto src = random_floats(std::size_t(in) * size * size, 1);
      const auto factors = random_floats(in, 2);
      const auto dw = random_floats(std::size_t(in) * 9, 3), dw_bias = random_floats(in, 4);
      const auto pw = random_floats(std::size_t(in) * out, 5), pw_bias = random_floats(out, 6);
      const SeData inner(in, 4, 7), outer(out, 4, 11);

      Map scaled = exact_map(in, size, size, src);
      multiply(scaled, exact_map(in, 1, 1, factors));
      Map t = conv3x3(scaled, in, true, 1, dw, dw_bias);
      // The kernel scales the nine weights, not the map: one more rounding per product, as here.
      multiply(t, inner.scale(mean(t)));
      relu(t);
      Map expected = conv1x1(t, out, pw, pw_bias);
      if (algorithm == Algorithm::kStrassen) {
        std::fill(expected.bound.begin(), expected.bound.end(), strassen_bound(t, pw, pw_bias));
      }
      const Map expected_scale = outer.scale(mean(expected));
      relu(expected);

      Buffer packed(plan.packed_bytes() / 4), scratch(plan.scratch_bytes() / 4);
      pack_dwpw(plan, dw.data(), dw_bias.data(), pw.data(), pw_bias.data(), packed.get());
      Buffer src_map(shape.src().num_floats()), dst_map(shape.dst().num_floats());
      Buffer scale(padded(in)), sums(padded(out)), hidden(16), out_scale(padded(out));
      std::copy(factors.begin(), factors.end(), scale.get());
      to_blocked(shape.src(), src.data(), src_map.get());
      DwPwArgs args;
      args.src = src_map.get();
      args.dst = dst_map.get();
      args.packed = packed.get();
      args.src_scale = scale.get();
      args.depthwise_se = &inner.se;
      args.dst_sums = sums.get();
      args.scratch = scratch.get();
      for (int unit = 0; unit < plan.units(); ++unit) table.run_dwpw(plan, args, unit, unit + 1);
      table.squeeze_excite(outer.se, sums.get(), size * size, hidden.get(), out_scale.get());
      std::vector<float> got(expected.value.size());
      from_blocked(shape.dst(), dst_map.get(), got.data());
      EXPECT_EQ(mismatch(expected, got.data()), "");
      EXPECT_EQ(mismatch(expected_scale, out_scale.get()), "");
    }
  }
}

TEST_P(HeadTest, Linear) {
  for (int in : {1, 17, 512}) {
    for (int out : {1, 10, 56, 57, 112, 1000}) {
      for (int batch : {1, 2, 3, 5}) {
        const LinearPlan plan{in, out, table.linear_columns};
        const int stride = padded(in);
        const auto weight = random_floats(std::size_t(in) * out, 1), bias = random_floats(out, 2);
        const auto rows = random_floats(std::size_t(batch) * stride, 3);
        Buffer packed(plan.packed_bytes() / 4);
        pack_linear(plan, weight.data(), bias.data(), packed.get());
        std::vector<float> got(std::size_t(batch) * out + 1, 777.0f);
        const LinearArgs args{rows.data(), stride, got.data(), batch, packed.get()};
        for (int panel = 0; panel < plan.num_panels(); ++panel) {
          table.linear(plan, args, panel, panel + 1);
        }
        for (int n = 0; n < batch; ++n) {
          const std::vector<float> row(rows.begin() + n * stride, rows.begin() + n * stride + in);
          const Map expected = conv1x1(exact_map(in, 1, 1, row), out, weight, bias);
          EXPECT_EQ(mismatch(expected, got.data() + std::size_t(n) * out), "")
              << in << " " << out << " image " << n << " of " << batch;
        }
        EXPECT_EQ(got.back(), 777.0f) << "wrote beyond the end";
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, HeadTest, ::testing::ValuesIn(supported_isas()),
                         [](const auto& isa) { return std::string(isa_name(isa.param)); });

class IsaTest : public ::testing::Test {
 protected:
  void TearDown() override { unsetenv("MOBILEONE_MAX_ISA"); }
};

TEST_F(IsaTest, ForcedByTheEnvironment) {
  EXPECT_EQ(detect_isa(), supported_isas().front());
  for (Isa isa : supported_isas()) {
    setenv("MOBILEONE_MAX_ISA", std::string(isa_name(isa)).c_str(), 1);
    EXPECT_EQ(detect_isa(), isa);
    EXPECT_EQ(kernels(isa).isa, isa);
  }
  for (const char* unknown : {"sse2", "AVX2", "avx512 ", "0"}) {
    setenv("MOBILEONE_MAX_ISA", unknown, 1);
    EXPECT_THROW(detect_isa(), std::invalid_argument) << unknown;
  }
  setenv("MOBILEONE_MAX_ISA", "", 1);
  EXPECT_EQ(detect_isa(), supported_isas().front());
}

}  // namespace
}  // namespace mobileone::kernels::testing
