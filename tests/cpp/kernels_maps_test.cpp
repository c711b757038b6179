// Steps between whole maps against float64: depthwise convolutions alone, channels that move, sums
// and factors, maxima; on every instruction set.
#include <gtest/gtest.h>

#include <limits>
#include <numeric>

#include "kernels_testing.hpp"
#include "mobileone/kernels/kernels.hpp"
#include "mobileone/kernels/reference/reference.hpp"

namespace mobileone::kernels::testing {
namespace {

using namespace mobileone::kernels::reference;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::size_t elements(const MapShape& map) {
  return std::size_t(map.channels) * map.height * map.width;
}

Buffer blocked(const MapShape& map, const std::vector<float>& nchw) {
  Buffer buffer(std::size_t(map.num_floats()));
  to_blocked(map, nchw.data(), buffer.get());
  return buffer;
}

// A map that nothing has been written to, but for its border.
Buffer unwritten(const MapShape& map) {
  Buffer buffer(std::size_t(map.num_floats()));
  std::fill_n(buffer.get(), buffer.size, 777.0f);
  zero_border(map, buffer.get());
  return buffer;
}

class DepthwiseMapTest : public KernelTest {
 protected:
  void check(const DepthwiseMapShape& shape) {
    SCOPED_TRACE(::testing::Message()
                 << label(table) << " C " << shape.channels_in << "*" << shape.multiplier << " "
                 << shape.height << "x" << shape.width << " kernel " << shape.kernel << " stride "
                 << shape.stride);
    const MapShape src = shape.src(), dst = shape.dst();
    const int out = shape.channels_out();
    const auto x = random_floats(elements(src), 1), other = random_floats(elements(dst), 2);
    const auto weight = random_floats(std::size_t(out) * shape.kernel * shape.kernel, 3, 0.2f);
    const auto bias = random_floats(std::size_t(out), 4, 0.5f);
    // Each channel as often as it makes one of the result.
    std::vector<float> repeated;
    const std::size_t plane = std::size_t(src.height) * src.width;
    for (int c = 0; c < out; ++c) {
      const auto from = x.begin() + std::ptrdiff_t(plane) * (c / shape.multiplier);
      repeated.insert(repeated.end(), from, from + std::ptrdiff_t(plane));
    }
    Map expected = conv(exact_map(out, src.height, src.width, repeated), out,
                        {shape.kernel, shape.stride, true}, weight, bias);
    if (shape.epilogue.residual) add(expected, exact_map(out, dst.height, dst.width, other));
    activate(shape.epilogue.activation, expected);

    const DepthwiseMapPlan plan = plan_depthwise_map(shape);
    Buffer packed(plan.packed_bytes() / 4), scratch(plan.scratch_bytes() / 4);
    pack_depthwise(out, shape.kernel, weight.data(), bias.data(), packed.get());
    const Buffer source = blocked(src, x), residual = blocked(dst, other), map = unwritten(dst);
    for (int unit = 0; unit < plan.units(); ++unit) {
      std::fill_n(scratch.get(), scratch.size, kNan);
      const DepthwiseMapArgs args{source.get(), residual.get(), map.get(), packed.get(),
                                  scratch.get()};
      table.run_depthwise_map(plan, args, unit, unit + 1);
    }
    EXPECT_EQ(mismatch(expected, interior(dst, map).data()), "");
  }
};

TEST_P(DepthwiseMapTest, KernelsStridesAndMultipliers) {
  for (int kernel : {3, 5, 7, 9, 11}) {
    for (int stride : {1, 2}) {
      for (int multiplier : {1, 2, 4, 8}) {
        for (int channels : {1, 5, 16, 24, 40}) {
          const auto activation = kActivations[(channels + kernel) % std::size(kActivations)];
          const bool residual = channels % 2 == 0;
          // Of an activation that does not keep 0 the padding channels would not stay zero.
          const bool keeps =
              activation != Activation::kSigmoid && activation != Activation::kHardSigmoid;
          check({channels,
                 multiplier,
                 9,
                 11,
                 kernel,
                 stride,
                 {keeps ? activation : Activation::kRelu, residual}});
        }
      }
    }
  }
}

TEST_P(DepthwiseMapTest, AwkwardSizes) {
  for (int height : {1, 2, 7, 70}) {
    for (int width : {1, 3, 14, 57}) {
      for (int kernel : {3, 7, 11}) check({17, 1, height, width, kernel, 1 + width % 2});
    }
  }
}

TEST_P(DepthwiseMapTest, SeveralBandsOfRows) {
  const DepthwiseMapShape shape{16, 2, 64, 112, 7, 2, {Activation::kGelu}};
  ASSERT_GT(plan_depthwise_map(shape).bands(), 1);
  check(shape);
}

TEST(DepthwiseMapPlan, RejectsBadArguments) {
  EXPECT_NO_THROW(plan_depthwise_map({16, 2, 8, 8, 7, 2}));
  for (const DepthwiseMapShape& bad :
       {DepthwiseMapShape{0, 1, 8, 8}, DepthwiseMapShape{16, 3, 8, 8},
        DepthwiseMapShape{16, 1, 0, 8}, DepthwiseMapShape{16, 1, 8, 8, 4},
        DepthwiseMapShape{16, 1, 8, 8, 3, 3}}) {
    EXPECT_THROW(plan_depthwise_map(bad), std::invalid_argument);
  }
}

class ChannelMovesTest : public KernelTest {
 protected:
  void check(const std::vector<int>& channels, const std::vector<ChannelSource>& from) {
    std::vector<MapShape> shapes;
    std::vector<std::vector<float>> data;
    std::vector<Buffer> buffers;
    std::vector<const float*> pointers;
    for (int c : channels) {
      shapes.push_back({c, 3, 5});
      data.push_back(random_floats(elements(shapes.back()), unsigned(c)));
      buffers.push_back(blocked(shapes.back(), data.back()));
      pointers.push_back(buffers.back().get());
    }
    const ChannelMoves plan = plan_channel_moves(table.traits, shapes, from);
    const Buffer map = unwritten(plan.dst);
    for (int unit = 0; unit < plan.units(); ++unit) {
      table.run_channel_moves(plan, pointers.data(), map.get(), unit, unit + 1);
    }
    std::vector<float> expected;
    for (const ChannelSource& source : from) {
      const auto begin = data[std::size_t(source.map)].begin() + 15 * source.channel;
      expected.insert(expected.end(), begin, begin + 15);
    }
    EXPECT_EQ(interior(plan.dst, map), expected) << label(table);
  }
};

TEST_P(ChannelMovesTest, AnyOrder) {
  std::mt19937 engine(7);
  for (int count : {1, 8, 15, 16, 17, 33, 58, 116}) {
    for (int maps : {1, 2, 3}) {
      std::vector<int> channels;
      for (int i = 0; i < maps; ++i) channels.push_back(20 + 9 * i);
      std::vector<ChannelSource> from;
      for (int i = 0; i < count; ++i) {
        const int map = int(engine() % unsigned(maps));
        from.push_back({map, int(engine() % unsigned(channels[std::size_t(map)]))});
      }
      check(channels, from);
    }
  }
}

TEST_P(ChannelMovesTest, ShuffleOfTwo) {
  std::vector<ChannelSource> from;
  for (int i = 0; i < 58; ++i) from.insert(from.end(), {{0, i}, {1, i}});
  check({58, 58}, from);
}

TEST(ChannelMoves, RejectsBadArguments) {
  const std::vector<MapShape> one{{4, 3, 3}}, two{{4, 3, 3}, {4, 3, 4}};
  const std::vector<ChannelSource> good{{0, 3}}, far{{0, 4}}, none;
  EXPECT_NO_THROW(plan_channel_moves(avx2::kTraits, one, good));
  EXPECT_THROW(plan_channel_moves(avx2::kTraits, one, far), std::invalid_argument);
  EXPECT_THROW(plan_channel_moves(avx2::kTraits, two, good), std::invalid_argument);
  EXPECT_THROW(plan_channel_moves(avx2::kTraits, one, none), std::invalid_argument);
}

using MapElementsTest = KernelTest;

TEST_P(MapElementsTest, SumsAndFactors) {
  for (int channels : {3, 16, 40}) {
    for (Activation activation : {Activation::kNone, Activation::kRelu, Activation::kGelu}) {
      for (bool scales : {false, true}) {
        for (bool adds : {false, true}) {
          const MapShape shape{channels, 5, 7};
          const auto a = random_floats(elements(shape), 1), b = random_floats(elements(shape), 2);
          auto factor = random_floats(std::size_t(padded(channels)), 3);
          Map expected = exact_map(channels, 5, 7, a);
          if (scales) {
            multiply(expected,
                     exact_map(channels, 1, 1, {factor.begin(), factor.begin() + channels}));
          }
          if (adds) add(expected, exact_map(channels, 5, 7, b));
          activate(activation, expected);
          const Buffer first = blocked(shape, a), second = blocked(shape, b),
                       map = unwritten(shape);
          const MapSum sum{shape,
                           activation,
                           first.get(),
                           scales ? factor.data() : nullptr,
                           adds ? second.get() : nullptr,
                           map.get()};
          for (int block = 0; block < blocks(channels); ++block) {
            table.sum_maps(sum, block, block + 1);
          }
          EXPECT_EQ(mismatch(expected, interior(shape, map).data()), "") << label(table);
        }
      }
    }
  }
}

TEST_P(MapElementsTest, MaximaOfWindows) {
  for (int kernel : {1, 2, 3, 5}) {
    for (int stride : {1, 2, 3}) {
      const MapMaxima maxima{{21, 8, 11}, kernel, stride, kernel / 2};
      auto x = random_floats(elements(maxima.src), 1);
      for (float& value : x) value -= 3.0f;  // padding of zeros would win
      x[40] = kNan;
      const MapShape dst = maxima.dst();
      const Buffer source = blocked(maxima.src, x), map = unwritten(dst);
      table.max_map(maxima, source.get(), map.get(), 0, 1);
      table.max_map(maxima, source.get(), map.get(), 1, blocks(dst.channels));
      const std::vector<float> got = interior(dst, map);
      for (std::size_t i = 0; i < got.size(); ++i) {
        const int c = int(i) / (dst.height * dst.width);
        const int oy = int(i) / dst.width % dst.height, ox = int(i) % dst.width;
        float best = -std::numeric_limits<float>::infinity();
        for (int ky = 0; ky < kernel; ++ky) {
          for (int kx = 0; kx < kernel; ++kx) {
            const int y = oy * stride - kernel / 2 + ky, px = ox * stride - kernel / 2 + kx;
            if (y < 0 || y >= 8 || px < 0 || px >= 11) continue;
            const float value = x[std::size_t((c * 8 + y) * 11 + px)];
            if (std::isnan(value) || std::isnan(best)) best = kNan;
            best = std::max(best, value);
          }
        }
        EXPECT_TRUE(got[i] == best || (std::isnan(got[i]) && std::isnan(best)))
            << label(table) << " element " << i << ": " << got[i] << ", expected " << best;
      }
    }
  }
}

MOBILEONE_FOR_ALL_TABLES(DepthwiseMapTest);
MOBILEONE_FOR_ALL_TABLES(ChannelMovesTest);
MOBILEONE_FOR_ALL_TABLES(MapElementsTest);

}  // namespace
}  // namespace mobileone::kernels::testing
