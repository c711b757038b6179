// Tensor, Shape and error messages.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

#include "mobileone/base/allocation.hpp"
#include "mobileone/base/checksum.hpp"
#include "mobileone/base/error.hpp"
#include "mobileone/base/pages.hpp"
#include "mobileone/base/tensor.hpp"

namespace mobileone {
namespace {

TEST(Shape, CountsElements) {
  EXPECT_EQ(element_count({}), 1);
  EXPECT_EQ(element_count({7}), 7);
  EXPECT_EQ(element_count({2, 3, 5, 7}), 210);
  EXPECT_EQ(element_count({0, 3, 224, 224}), 0);
}

TEST(Shape, CountsBeyond32Bits) { EXPECT_EQ(element_count({1 << 20, 1 << 20}), 1LL << 40); }

TEST(Shape, PrintsLikeNumpy) {
  EXPECT_EQ(to_string(Shape{}), "()");
  EXPECT_EQ(to_string(Shape{96}), "(96,)");
  EXPECT_EQ(to_string(Shape{96, 1, 3, 3}), "(96, 1, 3, 3)");
}

TEST(DType, SizesAndNames) {
  EXPECT_EQ(size_of(DType::float32), 4u);
  EXPECT_EQ(size_of(DType::float64), 8u);
  EXPECT_EQ(size_of(DType::int64), 8u);
  EXPECT_STREQ(to_string(DType::float32), "float32");
  EXPECT_STREQ(to_string(DType::float64), "float64");
  EXPECT_STREQ(to_string(DType::int64), "int64");
}

TEST(AlignedMemory, StartsOnACacheLine) {
  for (std::size_t bytes : {0u, 1u, 63u, 64u, 65u, 4097u}) {
    const std::shared_ptr<void> memory = allocate_aligned(bytes);
    ASSERT_NE(memory, nullptr);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory.get()) % 64, 0u) << bytes;
  }
}

TEST(Pages, AreZeroedAlignedAndKeepWhatTheyHold) {
  for (const HugePages wanted : {HugePages::all, HugePages::filled}) {
    for (std::size_t bytes : {std::size_t{1}, kHugePage - 4, kHugePage, kHugePage + 4100}) {
      const std::shared_ptr<void> memory = map_pages(bytes, wanted);
      auto* const first = static_cast<unsigned char*>(memory.get());
      ASSERT_EQ(reinterpret_cast<std::uintptr_t>(first) % kHugePage, 0u) << bytes;
      EXPECT_TRUE(std::all_of(first, first + bytes, [](unsigned char byte) { return byte == 0; }));
      for (std::size_t i = 0; i < bytes; ++i) first[i] = static_cast<unsigned char>(i % 251);
      join_last_pages(first, bytes);
      for (std::size_t i = 0; i < bytes; ++i) ASSERT_EQ(first[i], i % 251) << i << " of " << bytes;
    }
  }
}

TEST(Pages, ThatThereAreNot) { EXPECT_THROW(map_pages(std::size_t{1} << 60), AllocationError); }

TEST(Tensor, RoundsDoublesOnceToFloat32) {
  // 1 + 2^-24 is halfway between two floats and goes to the even one; a hair above goes up.
  const double half = 1.0 + 0x1p-24;
  const Tensor tensor = Tensor::from_doubles({3}, {half, half + 0x1p-50, -half});
  EXPECT_EQ(tensor.dtype(), DType::float32);
  EXPECT_EQ(tensor.f32()[0], 1.0f);
  EXPECT_EQ(tensor.f32()[1], 1.0f + 0x1p-23f);
  EXPECT_EQ(tensor.f32()[2], -1.0f);
}

TEST(Tensor, KeepsDoublesExactly) {
  const std::vector<double> values{0x1.fffffffffffffp+3, -0x1p-1074, 0.1};
  const Tensor tensor = Tensor::from_doubles({3}, values, DType::float64);
  EXPECT_EQ(tensor.to_doubles(), values);
  EXPECT_EQ(tensor.f64()[2], 0.1);
}

TEST(Tensor, KeepsInt64BeyondFloatPrecision) {
  const std::int64_t value = (1LL << 53) + 1;
  const Tensor tensor = Tensor::from_int64(value);
  EXPECT_EQ(tensor.shape(), Shape{});
  EXPECT_EQ(tensor.size(), 1);
  EXPECT_EQ(*tensor.i64(), value);
  EXPECT_EQ(Tensor::from_int64(-3).to_doubles(), std::vector<double>{-3.0});
}

TEST(Tensor, HoldsNoElements) {
  const Tensor tensor = Tensor::from_doubles({0, 4}, {});
  EXPECT_EQ(tensor.size(), 0);
  EXPECT_TRUE(tensor.to_doubles().empty());
}

TEST(Tensor, SharesItsStorage) {
  const Tensor first = Tensor::from_doubles({2}, {1, 2});
  const Tensor second = first;
  EXPECT_EQ(first.data(), second.data());
  EXPECT_EQ(first.storage().use_count(), 3);  // two tensors and the pointer just asked for
}

TEST(Tensor, OutlivesTheFirstOwner) {
  Tensor kept;
  {
    const Tensor first = Tensor::from_doubles({2}, {3, 4});
    kept = first;
  }
  EXPECT_EQ(kept.to_doubles(), (std::vector<double>{3, 4}));
}

template <typename Action>
std::string message_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no Error";
}

TEST(Tensor, RefusesAViewOfAnotherType) {
  const Tensor tensor = Tensor::from_doubles({1}, {1});
  EXPECT_EQ(message_of([&] { tensor.f64(); }), "[tensor] has dtype float32; expected float64");
  EXPECT_EQ(message_of([&] { tensor.i64(); }), "[tensor] has dtype float32; expected int64");
  EXPECT_EQ(message_of([] { Tensor::from_int64(1).f32(); }),
            "[tensor] has dtype int64; expected float32");
}

TEST(Tensor, RefusesTheWrongNumberOfValues) {
  EXPECT_EQ(message_of([] { Tensor::from_doubles({2, 2}, {1, 2, 3}); }),
            "[tensor] 3 values for shape (2, 2)");
  EXPECT_THROW(Tensor::from_doubles({1}, {1}, DType::int64), Error);
}

TEST(Tensor, CarriesInfinitiesAndNaN) {
  const double infinity = std::numeric_limits<double>::infinity();
  const Tensor tensor = Tensor::from_doubles({3}, {infinity, -infinity, std::nan("")});
  EXPECT_EQ(tensor.f32()[0], std::numeric_limits<float>::infinity());
  EXPECT_EQ(tensor.f32()[1], -std::numeric_limits<float>::infinity());
  EXPECT_NE(tensor.f32()[2], tensor.f32()[2]);
}

std::uint32_t checksum_of(const std::vector<unsigned char>& bytes) {
  return checksum(bytes.data(), bytes.size());
}

// RFC 3720, appendix B.4, and the check value of the Rocksoft model.
TEST(Checksum, IsCastagnolis) {
  EXPECT_EQ(crc32c("123456789", 9), 0xe3069283u);
  std::vector<unsigned char> bytes(32, 0);
  EXPECT_EQ(crc32c(bytes.data(), 32), 0x8a9136aau);
  std::fill(bytes.begin(), bytes.end(), 0xff);
  EXPECT_EQ(crc32c(bytes.data(), 32), 0x62a8ab43u);
  std::iota(bytes.begin(), bytes.end(), 0);
  EXPECT_EQ(crc32c(bytes.data(), 32), 0x46dd794eu);
}

// The sums of the parts, by the plain function.
TEST(Checksum, IsThatOfEightParts) {
  for (std::size_t size : {0u, 1u, 63u, 64u, 65u, 128u, 1000u, 4099u}) {
    std::vector<unsigned char> bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<unsigned char>(i * 37 + i / 256);
    const std::size_t part = size / 64 * 8;
    std::uint32_t sums[8];
    for (std::size_t i = 0; i < 8; ++i) {
      sums[i] = crc32c(bytes.data() + i * part, i < 7 ? part : size - 7 * part);
    }
    EXPECT_EQ(checksum_of(bytes), crc32c(sums, sizeof sums)) << size;
  }
}

TEST(Checksum, ChangesWithEveryBit) {
  std::vector<unsigned char> bytes(333, 7);
  const std::uint32_t before = checksum_of(bytes);
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    bytes[bit / 8] ^= static_cast<unsigned char>(1u << (bit % 8));
    EXPECT_NE(checksum_of(bytes), before) << bit;
    bytes[bit / 8] ^= static_cast<unsigned char>(1u << (bit % 8));
  }
}

TEST(Error, HierarchyDecidesThePythonException) {
  EXPECT_TRUE((std::is_base_of_v<std::invalid_argument, Error>));  // ValueError
  EXPECT_FALSE((std::is_base_of_v<Error, NotSupported>));          // NotImplementedError
  EXPECT_TRUE((std::is_base_of_v<std::runtime_error, StateError>));
}

TEST(Error, ConcatWritesAnything) {
  EXPECT_EQ(concat("a ", 1, ' ', 2.5, " ", std::string("b")), "a 1 2.5 b");
}

}  // namespace
}  // namespace mobileone
