// The quantized kernels of every instruction set against scalar integers, bit for bit.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <span>
#include <vector>

#include "mobileone/base/tensor.hpp"
#include "mobileone/kernels/quantized/quantized.hpp"

namespace mobileone::kernels {
namespace {

using Bytes = std::vector<int>;  // [channels][height][width]

// What is the same for one channel's sum everywhere.
struct Weights {
  int outputs, terms;
  std::vector<float> weight, bias, multiplier;

  QuantizedWeights view() const { return {weight.data(), bias.data(), multiplier.data()}; }
  std::int64_t at(int output, int term) const {
    return static_cast<std::int64_t>(weight[static_cast<std::size_t>(output * terms + term)]);
  }
  int finish(int output, std::int64_t sum, const ByteRange& range) const {
    const auto o = static_cast<std::size_t>(output);
    const float scaled =
        static_cast<float>(sum + static_cast<std::int64_t>(bias[o])) * multiplier[o];
    const double rounded = std::nearbyint(static_cast<double>(scaled));
    return static_cast<int>(std::clamp(rounded + range.zero_point, double(range.least), 255.0));
  }
};

// Of `fused` products with multipliers are fused: 22 bits, and sums below 2^22.
enum class Numbers { usual, largest, overflowing, fused };

// Multipliers of which many are powers of two, so that sums lie half way between integers.
Weights random_weights(int outputs, int terms, Numbers numbers, std::mt19937& random) {
  Weights made{outputs, terms, {}, {}, {}};
  for (int i = 0; i < outputs * terms; ++i) {
    const int value = static_cast<int>(random() % 255) - 127;
    const bool any = numbers == Numbers::usual || numbers == Numbers::fused;
    made.weight.push_back(static_cast<float>(any ? value : value < 0 ? -127 : 127));
  }
  for (int o = 0; o < outputs; ++o) {
    made.bias.push_back(static_cast<float>(static_cast<int>(random() % 8001) - 4000));
    const float power = std::exp2(-static_cast<float>(random() % 5) - 8.f);
    made.multiplier.push_back(numbers == Numbers::overflowing ? 3e5f
                              : random() % 2                  ? power
                              : numbers == Numbers::fused     ? power * 0x1.fffff4p0f
                                                              : power * 1.37f);
  }
  if (numbers == Numbers::overflowing) {
    for (float& bias : made.bias) bias = random() % 2 ? 0x1p30f : -0x1p30f;
  }
  return made;
}

Bytes random_bytes(int channels, int pixels, bool largest, std::mt19937& random) {
  Bytes made(static_cast<std::size_t>(channels * pixels));
  for (int& value : made) value = largest ? 255 : static_cast<int>(random() % 256);
  return made;
}

int& pixel(Bytes& map, int height, int width, int c, int y, int x) {
  return map[static_cast<std::size_t>((c * height + y) * width + x)];
}

struct Aligned {
  std::shared_ptr<void> memory;
  explicit Aligned(std::size_t bytes) : memory(allocate_aligned(bytes)) {}
  std::byte* bytes() const { return static_cast<std::byte*>(memory.get()); }
  std::uint8_t* numbers() const { return static_cast<std::uint8_t*>(memory.get()); }
};

// As kernels read it: padding channels hold anything.
Aligned blocked(const ByteMap& map, Bytes& values, int zero_point) {
  Aligned made(static_cast<std::size_t>(map.num_bytes()) + ByteMap::kSlack);
  std::fill_n(made.numbers(), map.num_bytes(), std::uint8_t{201});
  fill_border(map, zero_point, made.numbers());
  for (int c = 0; c < map.channels; ++c) {
    for (int y = 0; y < map.height; ++y) {
      for (int x = 0; x < map.width; ++x) {
        made.numbers()[map.offset(c / kBlock, y, x) + c % kBlock] =
            static_cast<std::uint8_t>(pixel(values, map.height, map.width, c, y, x));
      }
    }
  }
  return made;
}

std::size_t differences(const ByteMap& map, const Aligned& found, Bytes& expected) {
  std::size_t count = 0;
  for (int c = 0; c < map.channels; ++c) {
    for (int y = 0; y < map.height; ++y) {
      for (int x = 0; x < map.width; ++x) {
        count += found.numbers()[map.offset(c / kBlock, y, x) + c % kBlock] !=
                 pixel(expected, map.height, map.width, c, y, x);
      }
    }
  }
  return count;
}

// Whether the border and what lies after the map are as they were.
bool untouched(const ByteMap& map, const Aligned& found, std::uint8_t border) {
  for (int block = 0; block < map.blocks(); ++block) {
    for (int y = -1; y <= map.height; ++y) {
      for (int x = -1; x <= map.width; ++x) {
        if (y >= 0 && y < map.height && x >= 0 && x < map.width) continue;
        const std::uint8_t* const at = found.numbers() + map.offset(block, y, x);
        if (std::any_of(at, at + kBlock, [&](std::uint8_t v) { return v != border; })) return false;
      }
    }
  }
  const std::uint8_t* const end = found.numbers() + map.num_bytes();
  return std::all_of(end, end + ByteMap::kSlack, [&](std::uint8_t v) { return v == border; });
}

Aligned marked(const ByteMap& map, std::uint8_t mark) {
  const std::size_t bytes = static_cast<std::size_t>(map.num_bytes()) + ByteMap::kSlack;
  Aligned made(bytes);
  std::fill_n(made.numbers(), bytes, mark);
  return made;
}

Bytes depthwise_reference(const QuantizedBlockShape& shape, Bytes& source, const Weights& weights) {
  const int height = shape.out_height(), width = shape.out_width();
  Bytes made(static_cast<std::size_t>(shape.channels_in * height * width));
  for (int c = 0; c < shape.channels_in; ++c) {
    for (int y = 0; y < height; ++y) {
      for (int x = 0; x < width; ++x) {
        std::int64_t sum = 0;
        for (int tap = 0; tap < shape.taps(); ++tap) {
          const int row = y * shape.stride + tap / shape.kernel - shape.kernel / 2;
          const int column = x * shape.stride + tap % shape.kernel - shape.kernel / 2;
          if (row < 0 || row >= shape.height || column < 0 || column >= shape.width) continue;
          sum +=
              (pixel(source, shape.height, shape.width, c, row, column) - shape.source_zero_point) *
              weights.at(c, tap);
        }
        pixel(made, height, width, c, y, x) = weights.finish(c, sum, shape.depthwise);
      }
    }
  }
  return made;
}

Bytes project_reference(const QuantizedBlockShape& shape, Bytes& hidden, const Weights& weights) {
  const int height = shape.out_height(), width = shape.out_width();
  Bytes made(static_cast<std::size_t>(shape.channels_out * height * width));
  for (int o = 0; o < shape.channels_out; ++o) {
    for (int y = 0; y < height; ++y) {
      for (int x = 0; x < width; ++x) {
        std::int64_t sum = 0;
        for (int c = 0; c < shape.channels_in; ++c) {
          sum += (pixel(hidden, height, width, c, y, x) - shape.depthwise.zero_point) *
                 weights.at(o, c);
        }
        pixel(made, height, width, o, y, x) = weights.finish(o, sum, shape.project);
      }
    }
  }
  return made;
}

void check_block(const QuantizedBlockShape& shape, Numbers numbers, bool bright) {
  std::mt19937 random(3);
  Weights depthwise = random_weights(shape.channels_in, shape.taps(), numbers, random);
  Weights project = random_weights(shape.channels_out, shape.channels_in, numbers, random);
  Bytes source = random_bytes(shape.channels_in, shape.height * shape.width, bright, random);
  Bytes hidden = shape.has_depthwise() ? depthwise_reference(shape, source, depthwise) : source;
  Bytes expected = shape.has_project() ? project_reference(shape, hidden, project) : hidden;
  const Aligned src = blocked(shape.src(), source, shape.source_zero_point);
  for (const QuantizedKernels* kernels : supported_quantized_kernels()) {
    SCOPED_TRACE(std::string(kernels->name) + " " + std::to_string(shape.channels_in) + " to " +
                 std::to_string(shape.channels_out) + ", " + std::to_string(shape.height) + " x " +
                 std::to_string(shape.width) + ", stride " + std::to_string(shape.stride) +
                 ", kernel " + std::to_string(shape.kernel));
    QuantizedBlockPlan plan = plan_quantized_block(kernels->traits, shape);
    for (int rows : {plan.tile_rows, 1, 3}) {
      plan.tile_rows = std::min(rows, shape.out_height());
      const Aligned packed(plan.packed_bytes()), scratch(plan.scratch_bytes());
      pack_quantized_block(plan, depthwise.view(), project.view(), packed.bytes());
      const Aligned dst = marked(shape.dst(), 77);
      // What is brought for others leaves the result alone: nothing, or parts of any size.
      const std::span<const std::byte> data(packed.bytes(), plan.packed_bytes());
      const std::span<const std::byte> parts[] = {data.first(64), data.subspan(7, 100), data};
      const QuantizedBlockArgs args{src.numbers(), dst.numbers(), packed.bytes(), scratch.bytes(),
                                    std::span(parts).first(rows == 1 ? 0 : 3)};
      kernels->run_block(plan, args, 0, plan.tiles() / 2);
      kernels->run_block(plan, args, plan.tiles() / 2, plan.tiles());
      EXPECT_EQ(differences(shape.dst(), dst, expected), 0u) << rows << " rows";
      EXPECT_TRUE(untouched(shape.dst(), dst, 77)) << rows << " rows";
    }
  }
}

void check_blocks(int stride, int kernel) {
  for (auto [height, width] : {std::pair{1, 1}, {2, 3}, {5, 4}, {7, 7}, {13, 6}, {9, 17}}) {
    for (auto [in, out] : {std::pair{1, 1}, {16, 16}, {17, 33}, {48, 48}, {40, 15}, {32, 96}}) {
      for (Numbers numbers : {Numbers::usual, Numbers::fused}) {
        QuantizedBlockShape shape{in, out, height, width, stride, 0, {}, {}};
        shape.kernel = kernel;
        check_block(shape, numbers, false);
        shape.source_zero_point = 128;
        shape.depthwise = {100, 100};
        shape.project = {255, 0};
        check_block(shape, numbers, false);
        // Each of the two alone.
        shape.channels_out = in;
        shape.parts = BlockParts::kDepthwise;
        check_block(shape, numbers, false);
        if (stride == 2 || kernel == 5) continue;
        shape.channels_out = out;
        shape.parts = BlockParts::kProject;
        shape.depthwise.zero_point = shape.source_zero_point;
        check_block(shape, numbers, false);
      }
    }
  }
}

TEST(KernelsQuantized, Blocks) {
  for (int stride : {1, 2}) check_blocks(stride, 3);
}

TEST(KernelsQuantized, BlocksOfLargeKernels) {
  for (int stride : {1, 2}) check_blocks(stride, 5);
}

// The largest weights and inputs, zero points at the ends, and products beyond 32 bits.
TEST(KernelsQuantized, BlocksOfExtremes) {
  for (int zero_point : {0, 128, 255}) {
    for (Numbers numbers : {Numbers::largest, Numbers::overflowing, Numbers::fused}) {
      for (bool bright : {false, true}) {
        QuantizedBlockShape shape{48, 40, 6, 9, 1, zero_point, {}, {}};
        shape.depthwise = {zero_point, zero_point};
        shape.project = {zero_point, 0};
        for (int kernel : {3, 5}) {
          shape.kernel = kernel;
          check_block(shape, numbers, bright);
        }
      }
    }
  }
}

int quantized(float x, float scale, int zero_point) {
  if (std::isnan(x)) return zero_point;
  const double rounded = std::nearbyint(static_cast<double>(x / scale));
  return static_cast<int>(std::clamp(rounded + zero_point, 0.0, 255.0));
}

void check_stem(const QuantizedStemPlan& shape, Numbers numbers) {
  std::mt19937 random(4);
  const Weights weights = random_weights(shape.channels, 27, numbers, random);
  std::vector<float> image(static_cast<std::size_t>(3 * shape.height * shape.width));
  for (float& value : image) value = static_cast<float>(random() % 2001) * 0.0035f - 3.5f;
  image[image.size() / 2] = std::nanf("");
  image.back() = 1e30f;
  const ByteMap map = shape.dst();
  Bytes expected(static_cast<std::size_t>(shape.channels * map.height * map.width));
  for (int o = 0; o < shape.channels; ++o) {
    for (int y = 0; y < map.height; ++y) {
      for (int x = 0; x < map.width; ++x) {
        std::int64_t sum = 0;
        for (int term = 0; term < 27; ++term) {
          const int row = 2 * y + term % 9 / 3 - 1, column = 2 * x + term % 3 - 1;
          if (row < 0 || row >= shape.height || column < 0 || column >= shape.width) continue;
          const auto at =
              static_cast<std::size_t>((term / 9 * shape.height + row) * shape.width + column);
          sum +=
              (quantized(image[at], shape.scale, shape.image_zero_point) - shape.image_zero_point) *
              weights.at(o, term);
        }
        pixel(expected, map.height, map.width, o, y, x) = weights.finish(o, sum, shape.range);
      }
    }
  }
  for (const QuantizedKernels* kernels : supported_quantized_kernels()) {
    SCOPED_TRACE(std::string(kernels->name) + " " + std::to_string(shape.channels) + ", " +
                 std::to_string(shape.height) + " x " + std::to_string(shape.width));
    QuantizedStemPlan plan = shape;
    plan.traits = kernels->traits;
    const Aligned packed(plan.packed_bytes()), scratch(plan.scratch_bytes());
    pack_quantized_stem(plan, weights.view(), packed.bytes());
    const Aligned dst = marked(map, 78);
    const QuantizedStemArgs args{image.data(), dst.numbers(), packed.bytes(), scratch.bytes()};
    kernels->run_stem(plan, args, map.height / 2, map.height);
    kernels->run_stem(plan, args, 0, map.height / 2);
    EXPECT_EQ(differences(map, dst, expected), 0u);
    EXPECT_TRUE(untouched(map, dst, 78));
  }
}

TEST(KernelsQuantized, Stems) {
  for (auto [height, width] : {std::pair{1, 1}, {2, 3}, {7, 16}, {32, 33}, {9, 70}}) {
    for (int channels : {1, 16, 24, 48, 96}) {
      for (int zero_point : {0, 128, 255}) {
        const ByteRange range{zero_point, channels == 48 ? zero_point : 0};
        const QuantizedStemPlan plan{height, width, channels, 0.0273f, zero_point, range, {}};
        check_stem(plan, Numbers::usual);
        check_stem(plan, Numbers::fused);
        check_stem(plan, Numbers::largest);
      }
    }
  }
}

// A byte's distance from the zero point times its channel's factor, however large that is.
TEST(KernelsQuantized, Scalings) {
  std::mt19937 random(8);
  for (auto [height, width] : {std::pair{1, 1}, {7, 9}, {2, 130}, {14, 14}, {3, 23}}) {
    for (const ByteRange range : {ByteRange{0, 0}, {40, 40}, {40, 0}, {255, 0}}) {
      const ByteScaling scaling{{24, height, width}, 100, range};
      const ByteMap& map = scaling.map;
      Bytes values = random_bytes(map.channels, height * width, false, random);
      Bytes expected = values;
      std::vector<float> factors(32);
      for (float& factor : factors) factor = static_cast<float>(random() % 2001) * 0.002f - 1.f;
      factors[3] = 1e38f;
      factors[4] = -1e38f;
      factors[5] = 0.5f;  // half way between integers
      for (int c = 0; c < map.channels; ++c) {
        for (int i = 0; i < height * width; ++i) {
          int& value = expected[static_cast<std::size_t>(c * height * width + i)];
          const float scaled =
              static_cast<float>(value - 100) * factors[static_cast<std::size_t>(c)];
          const double rounded = std::nearbyint(static_cast<double>(scaled)) + range.zero_point;
          value = static_cast<int>(std::clamp(rounded, double(range.least), 255.0));
        }
      }
      const Aligned src = blocked(map, values, 100);
      for (const QuantizedKernels* kernels : supported_quantized_kernels()) {
        const Aligned dst = marked(map, 79);
        kernels->scale(scaling, src.numbers(), factors.data(), dst.numbers(), 0, height / 2);
        kernels->scale(scaling, src.numbers(), factors.data(), dst.numbers(), height / 2, height);
        EXPECT_EQ(differences(map, dst, expected), 0u) << kernels->name;
        EXPECT_TRUE(untouched(map, dst, 79)) << kernels->name;
      }
    }
  }
}

TEST(KernelsQuantized, Pools) {
  std::mt19937 random(6);
  for (auto [height, width] : {std::pair{1, 1}, {7, 7}, {3, 20}, {2, 2}, {5, 14}, {300, 9}}) {
    const ByteMap map{40, height, width};
    Bytes values = random_bytes(map.channels, height * width, height == 300, random);
    const Aligned src = blocked(map, values, 9);
    for (int least : {0, 120, 255}) {
      for (const QuantizedKernels* kernels : supported_quantized_kernels()) {
        std::vector<float> mean(48);
        kernels->pool(map, src.numbers(), {least, 9, 0.25f}, mean.data());
        for (int c = 0; c < map.channels; ++c) {
          double sum = 0.0;
          for (int i = 0; i < height * width; ++i) {
            sum += std::max(values[static_cast<std::size_t>(c * height * width + i)], least) - 9;
          }
          // Of an exact sum three roundings.
          const double exact = sum * 0.25 / (height * width);
          EXPECT_NEAR(static_cast<double>(mean[static_cast<std::size_t>(c)]), exact,
                      3 * 0x1p-24 * std::abs(exact))
              << kernels->name << ", least " << least;
        }
      }
    }
  }
}

// Features that fill no four or block, outputs that fill no panel, batches of any size; float32 of
// the exact sum times the multiplier, bit for bit.
TEST(KernelsQuantized, LinearLayers) {
  std::mt19937 random(9);
  for (auto [in, out] : {std::pair{1, 1}, {16, 64}, {17, 130}, {75, 63}, {258, 257}}) {
    for (Numbers numbers : {Numbers::usual, Numbers::largest}) {
      for (int zero_point : {0, 128, 255}) {
        const int batch = 1 + in % 5, width = padded(in);
        const Weights weights = random_weights(out, in, numbers, random);
        const bool bright = numbers == Numbers::largest;
        const Bytes values = random_bytes(batch, width, bright, random);
        const std::vector<std::uint8_t> src(values.begin(), values.end());
        std::vector<float> expected;
        for (int n = 0; n < batch; ++n) {
          for (int o = 0; o < out; ++o) {
            auto sum = static_cast<std::int64_t>(weights.bias[static_cast<std::size_t>(o)]);
            for (int i = 0; i < in; ++i) {
              const int value = values[static_cast<std::size_t>(n * width + i)];
              sum += (value - zero_point) * weights.at(o, i);
            }
            expected.push_back(static_cast<float>(sum) *
                               weights.multiplier[static_cast<std::size_t>(o)]);
          }
        }
        for (const QuantizedKernels* kernels : supported_quantized_kernels()) {
          const QuantizedLinearPlan plan{in, out, zero_point, kernels->traits};
          const Aligned packed(plan.packed_bytes());
          pack_quantized_linear(plan, weights.view(), packed.bytes());
          std::vector<float> found(expected.size() + 1, 7.f);
          const QuantizedLinearArgs args{src.data(), found.data(), batch, packed.bytes()};
          kernels->linear(plan, args, plan.panels() / 2, plan.panels());
          kernels->linear(plan, args, 0, plan.panels() / 2);
          EXPECT_EQ(found.back(), 7.f);
          found.pop_back();
          EXPECT_EQ(found, expected) << kernels->name << ", " << in << " to " << out;
        }
      }
    }
  }
}

}  // namespace
}  // namespace mobileone::kernels
