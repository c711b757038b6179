// The matrix-multiplication microkernel under every pointwise convolution:
//   C[pixel][n] = sum_k A[pixel][k] * B[k][n]   for up to 14 pixels x 2 vectors of n (AVX-512).
// It runs a chain of such products on the same accumulators, which is what Strassen's algorithm
// needs; a direct convolution is a chain of one.
#pragma once

#include "mobileone/kernels/layout.hpp"
#include "mobileone/kernels/simd/element.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

/// Where a finished sum goes: dst[offsets[step pixel] + block * dst_block] = max(floor, sum), with
/// the microkernel's step.
struct Output {
  float* dst = nullptr;
  const std::int32_t* offsets = nullptr;
  float* sums = nullptr;   // if set, += the sums of all pixels, before the floor: [lanes * vectors]
  bool skip_last = false;  // the last pixel does not enter the sums
};

/// What happens after a link's product; the accumulators live on into the next link.
enum class After {
  kStore,      // partial = acc
  kOutput,     // output(acc)
  kOutputAdd,  // output(acc + other), then acc += addend
};

/// What is added to an output of two levels' outer products on its way to the map, and on its way
/// to the outer level's next partial result. Each is [pixel][lanes * vectors].
struct OuterOutput {
  const float* to_map = nullptr;
  const float* addend = nullptr;
  float* partial = nullptr;  // = output + addend
};

/// acc += A * B, then `after`. Strides are in floats; partials are [pixel][lanes * vectors].
struct Link {
  const float* a = nullptr;  // pixel i, channel 16 b + c at a[b * a_block + 16 step i + c]
  std::ptrdiff_t a_block = 0;
  const float* b = nullptr;  // panel [k][lanes * vectors]; of bfloat16 a and b hold pairs of k
  After after = After::kOutput;
  float* partial = nullptr;
  Output output;
  OuterOutput outer;
};

struct Chain {
  Link links[3];
  int num_links = 1;
  int k_blocks = 0;              // k / 16 of every link
  const float* row = nullptr;    // initial accumulators of every pixel (a bias), or else
  const float* start = nullptr;  // initial accumulators, [pixel][lanes * vectors]
  const float* other = nullptr;  // for After::kOutputAdd
  const float* addend = nullptr;
  const float* prefetch = nullptr;  // prefetch_floats(num_links * k_blocks) are brought into L2
  float floor = 0.0f;               // 0: ReLU, -infinity: none
  std::ptrdiff_t dst_block = 0;
};

/// What a chain of `k_blocks` prefetches: two cache lines per four k, a quarter of a 32-column
/// panel.
constexpr std::ptrdiff_t prefetch_floats(int k_blocks) {
  return std::ptrdiff_t{k_blocks} * TileElement::kBlockLanes / 4 * 32;
}

/// Position of vector v of a panel inside the destination's 16-channel blocks.
constexpr int vector_block(int v) { return v * kLanes / kBlock; }
constexpr int vector_lane(int v) { return v * kLanes % kBlock; }

// Every loop that indexes the accumulators is unrolled by force: one that is not makes GCC keep the
// whole array on the stack. Vector stores may alias anything, so what they could change is copied
// out of the structs first.

/// One k (of bfloat16 two) for all pixels; emit(p) is called as soon as pixel p is done. With the
/// last k, the stores are issued between multiplications: in one burst they fill the store queue,
/// and the core stands still (5 % of a product with k = 27).
template <typename Element = Float32, int kStep = 1, int kPixels, int kVectors, typename Emit>
__attribute__((always_inline)) inline void multiply_column(Vec (&acc)[kPixels][kVectors],
                                                           const float* pixels, const float* b,
                                                           const Emit& emit) {
  // One column fewer where accumulators, columns and x would take the last register.
  constexpr int kHeld = kVectors - (kPixels * kVectors + kVectors + 1 == kTraits.registers);
  Vec column[kHeld];
#pragma GCC unroll 4
  for (int v = 0; v < kHeld; ++v) column[v] = load(b + v * kLanes);
#pragma GCC unroll 16
  for (int p = 0; p < kPixels; ++p) {
    const Vec x = broadcast(pixels[p * kStep * Element::kBlockLanes]);
#pragma GCC unroll 4
    for (int v = 0; v < kHeld; ++v) Element::accumulate(acc[p][v], x, column[v]);
    if constexpr (kHeld < kVectors) {
      Element::accumulate(acc[p][kHeld], x, reinterpret_cast<const Vec*>(b + kHeld * kLanes));
    }
    emit(p);
  }
}

/// Whether the last of `vectors` vectors is the lower half of a block, whose upper half is padding.
constexpr bool ends_in_half(int vectors) { return vector_lane(vectors) != 0; }

/// Stores of a chain's output, one vector of one pixel at a time.
template <int kVectors, int kStep>
class OutputWriter {
 public:
  OutputWriter(const Output& output, const Chain& chain)
      : offsets_(output.offsets),
        dst_(output.dst),
        dst_block_(chain.dst_block),
        floor_(broadcast(chain.floor)) {}
  __attribute__((always_inline)) void operator()(int p, int v, Vec value) const {
    float* const at = dst_ + offsets_[p * kStep] + vector_block(v) * dst_block_ + vector_lane(v);
    store(at, max(floor_, value));
    if (ends_in_half(kVectors) && v + 1 == kVectors) store(at + kLanes, zero());
  }

 private:
  const std::int32_t* offsets_;
  float* dst_;
  std::ptrdiff_t dst_block_;
  Vec floor_;
};

/// The last k of a link and what comes after it.
template <int kStep, int kPixels, int kVectors>
__attribute__((always_inline)) inline void finish_link(Vec (&acc)[kPixels][kVectors],
                                                       const Chain& chain, const Link& link,
                                                       const float* pixels, const float* b) {
  constexpr int kWidth = kVectors * kLanes;
  const OutputWriter<kVectors, kStep> write(link.output, chain);
  if (ends_in_half(kVectors) || link.after == After::kOutput) {  // Strassen's have whole blocks
    multiply_column<TileElement, kStep>(acc, pixels, b, [&](int p) __attribute__((always_inline)) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) write(p, v, acc[p][v]);
    });
  } else if (link.after == After::kStore) {
    float* const partial = link.partial;
    multiply_column<TileElement, kStep>(acc, pixels, b, [&](int p) __attribute__((always_inline)) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) store(partial + p * kWidth + v * kLanes, acc[p][v]);
    });
  } else {
    const float* const other = chain.other;
    const float* const addend = chain.addend;
    multiply_column<TileElement, kStep>(acc, pixels, b, [&](int p) __attribute__((always_inline)) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        write(p, v, add(acc[p][v], load(other + p * kWidth + v * kLanes)));
        acc[p][v] = add(acc[p][v], load(addend + p * kWidth + v * kLanes));
      }
    });
  }
}

/// The same of an outer level's product. Whatever a vector becomes is computed in its register, or
/// in one more: there are no others.
template <int kStep, int kPixels, int kVectors>
__attribute__((always_inline)) inline void finish_outer_link(Vec (&acc)[kPixels][kVectors],
                                                             const Chain& chain, const Link& link,
                                                             const float* pixels, const float* b) {
  constexpr int kWidth = kVectors * kLanes;
  if (link.after == After::kStore) return finish_link<kStep>(acc, chain, link, pixels, b);
  const OutputWriter<kVectors, kStep> write(link.output, chain);
  const float *const to_map = link.outer.to_map, *const outer_addend = link.outer.addend;
  float* const partial = link.outer.partial;
  if (link.after == After::kOutput) {
    multiply_column<TileElement, kStep>(acc, pixels, b, [&](int p) __attribute__((always_inline)) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        const int at = p * kWidth + v * kLanes;
        store(partial + at, add(acc[p][v], load(outer_addend + at)));
        write(p, v, add(acc[p][v], load(to_map + at)));
      }
    });
    return;
  }
  const float *const other = chain.other, *const addend = chain.addend;
  multiply_column<TileElement, kStep>(acc, pixels, b, [&](int p) __attribute__((always_inline)) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const int at = p * kWidth + v * kLanes;
      store(partial + at, add(add(acc[p][v], load(other + at)), load(outer_addend + at)));
      write(p, v, add(add(acc[p][v], load(other + at)), load(to_map + at)));
      acc[p][v] = add(acc[p][v], load(addend + at));
    }
  });
}

/// The same where outputs have sums. The accumulators go through memory, for the code to stay
/// small.
template <int kStep, int kPixels, int kVectors>
__attribute__((always_inline)) inline void finish_link_with_sums(Vec (&acc)[kPixels][kVectors],
                                                                 const Chain& chain,
                                                                 const Link& link,
                                                                 const float* pixels,
                                                                 const float* b) {
  constexpr int kWidth = kVectors * kLanes;
  float buffer[kPixels * kWidth];
  float* const partial = link.after == After::kStore ? link.partial : buffer;
  multiply_column<TileElement, kStep>(acc, pixels, b, [&](int p) __attribute__((always_inline)) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) store(partial + p * kWidth + v * kLanes, acc[p][v]);
  });
  if (link.after == After::kStore) return;
  const OutputWriter<kVectors, kStep> write(link.output, chain);
  const bool more = link.after == After::kOutputAdd;
  for (int v = 0; v < kVectors; ++v) {
    float* const sums = link.output.sums + v * kLanes;
    Vec sum = load(sums);
    for (int p = 0; p < kPixels; ++p) {
      const int at = p * kWidth + v * kLanes;
      const Vec value = load(buffer + at);
      const Vec result = more ? add(value, load(chain.other + at)) : value;
      if (p + 1 < kPixels || !link.output.skip_last) sum = add(sum, result);
      write(p, v, result);
      if (more) store(buffer + at, add(value, load(chain.addend + at)));
    }
    store(sums, sum);
  }
#pragma GCC unroll 16
  for (int p = 0; p < kPixels; ++p) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) acc[p][v] = load(buffer + p * kWidth + v * kLanes);
  }
}

/// What a microkernel's outputs are for, besides the map.
enum class Outputs { kMap, kSums, kOuter };

template <int kPixels, int kVectors, Outputs kOutputs, int kStep>
__attribute__((noinline)) void microkernel(const Chain& chain) {
  constexpr int kWidth = kVectors * kLanes;
  constexpr int kUnroll = 4;
  const auto nothing = [](int) {};
  Vec acc[kPixels][kVectors];
  const float* start = chain.row != nullptr ? chain.row : chain.start;
  const std::ptrdiff_t start_stride = chain.row != nullptr ? 0 : kWidth;
#pragma GCC unroll 16
  for (int p = 0; p < kPixels; ++p, start += start_stride) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) acc[p][v] = load(start + v * kLanes);
  }
  const float* next = chain.prefetch;
  for (int index = 0; index < chain.num_links; ++index) {
    const Link& link = chain.links[index];
    const float* a = link.a;
    const float* b = link.b;
    const float* pixels = a;
    for (int block = chain.k_blocks; block > 0; --block, a += link.a_block) {
      pixels = a;
      // The last block's last unrolled step is left for finish_link.
      for (int step = block == 1 ? 1 : 0; step < TileElement::kBlockLanes / kUnroll; ++step) {
        prefetch_l2(next);
        prefetch_l2(next + 16);
#pragma GCC unroll 4
        for (int k = 0; k < kUnroll; ++k) {
          multiply_column<TileElement, kStep>(acc, pixels + k, b + k * kWidth, nothing);
        }
        pixels += kUnroll;
        b += kUnroll * kWidth;
        next += 32;
      }
    }
#pragma GCC unroll 4
    for (int k = 0; k < kUnroll - 1; ++k) {
      multiply_column<TileElement, kStep>(acc, pixels + k, b + k * kWidth, nothing);
    }
    pixels += kUnroll - 1;
    b += (kUnroll - 1) * kWidth;
    if constexpr (kOutputs == Outputs::kSums) {
      finish_link_with_sums<kStep>(acc, chain, link, pixels, b);
    } else if constexpr (kOutputs == Outputs::kOuter) {
      finish_outer_link<kStep>(acc, chain, link, pixels, b);
    } else {
      finish_link<kStep>(acc, chain, link, pixels, b);
    }
  }
}

using Microkernel = void (*)(const Chain&);

static_assert(kTraits.pixels <= kMaxPixels);

/// Widest pixel group for a panel of `vectors` vectors: accumulators + B vectors + 1 fit the
/// registers.
constexpr int max_pixels(int vectors) {
  if (vectors == 3) return kTraits.registers == 32 ? 8 : 4;
  return kTraits.pixels;
}

/// The same of Outputs::kOuter, which needs registers for what it adds.
constexpr int max_outer_pixels(int vectors) {
  if (vectors == 3) return kTraits.registers == 32 ? 8 : 3;
  return kTraits.registers == 32 ? 13 : kTraits.pixels;
}

/// The instance for `pixels` x `vectors` (1 <= pixels <= max_pixels(vectors)). `step`, 1 or 2, is
/// how many pixels of A and of the offsets one is from the next; 2 of Outputs::kOuter.
Microkernel find_microkernel(int pixels, int vectors, Outputs outputs, int step);

/// The same for panels that end in pairs (HalfBlock::kPairs), 1 <= pixels <= max_paired_pixels():
/// `vectors` without the pairs'; a chain of one link, from a row.
Microkernel find_paired_microkernel(int pixels, int vectors);
constexpr int max_paired_pixels(int vectors) { return vectors == 2 ? 10 : kTraits.pixels; }

/// A partition of `total` pixels into as few groups of at most `widest` as possible, sizes
/// within 1.
struct PixelGroups {
  int count, small, num_large;
  constexpr PixelGroups(int total, int widest)
      : count((total + widest - 1) / widest), small(total / count), num_large(total % count) {}
  constexpr int size(int group) const { return group < num_large ? small + 1 : small; }
};

}  // namespace mobileone::kernels::MOBILEONE_ISA
