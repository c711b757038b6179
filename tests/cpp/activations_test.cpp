// The table of activation functions: derivatives, names, and errors of real float32 arithmetic.
#include "mobileone/graph/activations.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <set>
#include <vector>

namespace mobileone {
namespace {

// Away from kinks, and where the functions bend.
const std::vector<double> kPoints{-30,  -7.5, -3.5, -2.9, -1.3, -0.4, -1e-3,
                                  1e-3, 0.4,  1.3,  2.9,  3.5,  7.5,  30};

TEST(Activations, DerivativesAreThoseOfTheValues) {
  for (const ActivationFunction& row : kActivations) {
    for (double x : kPoints) {
      // Central differences: truncation h^2 |f'''| / 6 with |f'''| < 2, rounding 2^-52 |f| / h.
      const double h = 1e-5;
      const double slope = (row.value(x + h) - row.value(x - h)) / (2 * h);
      EXPECT_NEAR(row.derivative(x), slope, h * h + 0x1p-51 * (1 + std::abs(x)) / h)
          << row.name << " at " << x;
    }
  }
}

TEST(Activations, NaNStaysAndLimitsHold) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const ActivationFunction& row : kActivations) {
    EXPECT_TRUE(std::isnan(row.value(nan))) << row.name;
    EXPECT_LT(std::abs(row.derivative(-700.0)), 1.0) << row.name;  // also not NaN
    for (double x : {-1e300, -700.0, 700.0, 1e300}) {
      EXPECT_FALSE(std::isnan(row.value(x))) << row.name << " at " << x;
    }
  }
}

TEST(Activations, NamesLeadBack) {
  std::set<std::string> names;
  for (const ActivationFunction& row : kActivations) {
    names.insert(row.name);
    ActivationKind kind{};
    EXPECT_EQ(read_attribute(to_attribute(row.kind), kind), "");
    EXPECT_EQ(kind, row.kind);
  }
  EXPECT_EQ(names.size(), kActivations.size());
  ActivationKind kind{};
  EXPECT_EQ(read_attribute(Attribute{std::int64_t{1}}, kind).find("one of relu, "), 0u);
}

}  // namespace
}  // namespace mobileone
