// Classifiers of bfloat16: bit for bit what a scalar model of the instruction makes, and within the
// derived bound of float64.
#include <limits>

#include "kernels_bfloat16_testing.hpp"
#include "mobileone/kernels/reference/reference.hpp"

namespace mobileone::kernels::testing {
namespace {

struct LinearData {
  LinearPlan plan;
  int batch, stride;
  std::vector<float> rows, weight, bias;  // what follows a row's inputs is NaN

  LinearData(const KernelTable& table, int in, int out, int images)
      : plan{in, out, table.traits.linear_columns(), table.traits.per_lane},
        batch(images),
        stride(padded(in) + kBlock),
        rows(random_floats(std::size_t(images) * stride, 3)),
        weight(random_floats(std::size_t(in) * out, 1)),
        bias(random_floats(std::size_t(out), 2)) {
    for (int n = 0; n < batch; ++n) {
      std::fill_n(rows.begin() + n * stride + in, stride - in,
                  std::numeric_limits<float>::quiet_NaN());
    }
  }

  float scalar_sum(int n, int o) const {
    float sum = bias[std::size_t(o)];
    for (int k = 0; k < plan.in_features; k += 2) {
      for (int i : {k + 1, k}) {
        if (i >= plan.in_features) continue;  // + 0 * 0
        const float w = weight[std::size_t(o) * plan.in_features + i];
        sum = fused(rounded(rows[std::size_t(n) * stride + i]), rounded(w), sum);
      }
    }
    return sum;
  }
};

class Bfloat16LinearTest : public KernelTest {
 protected:
  std::vector<float> run(const LinearData& data) {
    const LinearPlan& plan = data.plan;
    Buffer packed(plan.packed_bytes() / 4);
    pack_linear(plan, data.weight.data(), data.bias.data(), packed.get());
    std::vector<float> found(std::size_t(data.batch) * plan.out_features);
    const LinearArgs args{data.rows.data(), data.stride, found.data(), data.batch, packed.get()};
    for (int panel = 0; panel < plan.num_panels(); ++panel) {
      table.linear(plan, args, panel, panel + 1);
    }
    return found;
  }
  void expect_equal(const LinearData& data) {
    const int out = data.plan.out_features;
    const FlushSubnormals flush;
    const std::vector<float> found = run(data);
    for (std::size_t i = 0; i < found.size(); ++i) {
      // 0 and -0 are equal.
      ASSERT_EQ(found[i], data.scalar_sum(int(i) / out, int(i) % out)) << "element " << i;
    }
  }
};

TEST_P(Bfloat16LinearTest, EqualsTheScalarModel) {
  for (int in : {1, 2, 15, 16, 17, 33, 512}) {
    for (int out : {1, 10, 56, 57, 112, 1000}) {
      for (int batch : {1, 2, 3, 5}) {
        SCOPED_TRACE(::testing::Message() << in << " to " << out << ", " << batch << " images");
        expect_equal(LinearData(table, in, out, batch));
      }
    }
  }
}

TEST_P(Bfloat16LinearTest, SubnormalNumbersAreZero) {
  LinearData data(table, 41, 70, 4);
  std::mt19937 engine(3);
  make_tiny(data.rows, 1, engine);
  make_tiny(data.bias, 1, engine);
  make_tiny(data.weight, 2, engine);
  expect_equal(data);
}

// Each operand is off by 2^-8 of itself at most.
TEST_P(Bfloat16LinearTest, StaysWithinItsBound) {
  using namespace kernels::reference;
  const double u = 0x1p-8, each = 2 * u + u * u;
  const LinearData data(table, 301, 123, 4);
  const auto absolute = [](std::vector<float> values) {
    for (float& x : values) x = std::abs(x);
    return values;
  };
  const std::vector<float> none(data.bias.size(), 0.0f), sizes = absolute(data.weight);
  const std::vector<float> found = run(data);
  for (int n = 0; n < data.batch; ++n) {
    const auto begin = data.rows.begin() + n * data.stride;
    const std::vector<float> row(begin, begin + 301);
    Map expected = conv1x1(exact_map(301, 1, 1, row), 123, data.weight, data.bias);
    const Map products = conv1x1(exact_map(301, 1, 1, absolute(row)), 123, sizes, none);
    for (std::size_t i = 0; i < expected.bound.size(); ++i) {
      expected.bound[i] += each * products.value[i] + (1 + each) * products.bound[i];
    }
    EXPECT_EQ(mismatch(expected, found.data() + n * 123), "") << "image " << n;
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, Bfloat16LinearTest,
                         ::testing::ValuesIn(supported_tables(Precision::kBfloat16)),
                         [](const auto& test) { return label(*test.param); });

}  // namespace
}  // namespace mobileone::kernels::testing
