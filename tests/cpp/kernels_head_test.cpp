// Global pool, squeeze-and-excite, classifier, and the choice of the instruction set.
#include "kernels_block_testing.hpp"

namespace mobileone::kernels::testing {
namespace {

using namespace mobileone::kernels::reference;

using HeadTest = KernelTest;

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
  data.pack();
  Buffer sums(16), hidden(16), scale(16);
  table.squeeze_excite(data.se, sums.get(), 1, hidden.get(), scale.get());
  const double u = std::ldexp(1.0, -24);
  for (int c = 0; c < channels; ++c) {
    const double expected = 1.0 / (1.0 + std::exp(-double(data.b2[c])));
    EXPECT_NEAR(scale.get()[c], expected, 7.5 * u * expected + 0x1p-125) << data.b2[c];
  }
}

TEST_P(HeadTest, Linear) {
  for (int in : {1, 17, 512}) {
    for (int out : {1, 10, 56, 57, 112, 1000}) {
      for (int batch : {1, 2, 3, 5}) {
        const LinearPlan plan{in, out, table.traits.linear_columns()};
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

MOBILEONE_FOR_ALL_TABLES(HeadTest);

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
