#include "mobileone/backends/onednn/finish.hpp"

#include <omp.h>

#include <algorithm>

#include "mobileone/backends/onednn/memory.hpp"
#include "mobileone/backends/onednn/primitive_step.hpp"
#include "mobileone/backends/onednn/team.hpp"
#include "mobileone/kernels/vectorized.hpp"
#include "mobileone/plan/function_step.hpp"

namespace mobileone::onednn {

namespace {

using kernels::vectorized;
using kernels::Vectors;

// What oneDNN's own code may use.
Vectors vectors() {
  static const Vectors width = [] {
    cpu_engine();  // takes the limit
    switch (dnnl::get_effective_cpu_isa()) {
      case dnnl::cpu_isa::sse41:
      case dnnl::cpu_isa::avx:
        return Vectors::baseline;
      case dnnl::cpu_isa::avx2:
      case dnnl::cpu_isa::avx2_vnni:
      case dnnl::cpu_isa::avx2_vnni_2:
        return Vectors::avx2;
      default:
        return Vectors::avx512;
    }
  }();
  return width;
}

// "Not at most 0" is true of NaN.
MOBILEONE_INLINE float relu(float x) { return !(x <= 0.f) ? x : 0.f; }

MOBILEONE_INLINE float relu6(float x) {
  const float above = relu(x);
  return !(above >= 6.f) ? above : 6.f;
}

MOBILEONE_INLINE float hard_sigmoid(float x) {
  const float above = relu(x * (1.f / 6.f) + 0.5f);
  return !(above >= 1.f) ? above : 1.f;
}

bool has_vector_form(ActivationKind kind) {
  return kind == ActivationKind::relu || kind == ActivationKind::relu6 ||
         kind == ActivationKind::hard_sigmoid;
}

constexpr std::int64_t kPiece = 4096;  // floats: pieces of a few summands fit the first-level cache

void finish_piece(const float* const* x, std::size_t summands, float* y, std::int64_t first,
                  std::int64_t count, const std::optional<ActivationKind>& activation) {
  float* const to = y + first;
  const float *a = x[0] + first, *b = summands > 1 ? x[1] + first : nullptr;
  vectorized(vectors(), [&]() MOBILEONE_INLINE_LAMBDA {
#pragma GCC ivdep
    for (std::int64_t i = 0; i < count; ++i) to[i] = b ? a[i] + b[i] : a[i];
    for (std::size_t k = 2; k < summands; ++k) {
      const float* const c = x[k] + first;
#pragma GCC ivdep
      for (std::int64_t i = 0; i < count; ++i) to[i] += c[i];
    }
    if (activation == ActivationKind::relu) {
#pragma GCC ivdep
      for (std::int64_t i = 0; i < count; ++i) to[i] = relu(to[i]);
    } else if (activation == ActivationKind::relu6) {
#pragma GCC ivdep
      for (std::int64_t i = 0; i < count; ++i) to[i] = relu6(to[i]);
    } else if (activation == ActivationKind::hard_sigmoid) {
#pragma GCC ivdep
      for (std::int64_t i = 0; i < count; ++i) to[i] = hard_sigmoid(to[i]);
    }
  });
  if (!activation || has_vector_form(*activation)) return;
  const ActivationFunction& function = mobileone::activation(*activation);
  for (std::int64_t i = 0; i < count; ++i) to[i] = static_cast<float>(function.value(to[i]));
}

}  // namespace

void sum_and_finish(const float* const* x, std::size_t summands, float* y, std::int64_t count,
                    const std::optional<ActivationKind>& activation) {
  const std::int64_t pieces = (count + kPiece - 1) / kPiece;
#pragma omp parallel for schedule(static) if (pieces > 1)
  for (std::int64_t piece = 0; piece < pieces; ++piece) {
    const std::int64_t first = piece * kPiece;
    finish_piece(x, summands, y, first, std::min(kPiece, count - first), activation);
  }
}

void add_sum(const LoweredOp& op, PlanBuilder& builder, const std::vector<ValueId>& summands,
             ValueId result, const std::optional<ActivationKind>& activation) {
  const auto floats = static_cast<std::int64_t>(builder.value(result).bytes() / sizeof(float));
  const auto run = [=](const Buffers& buffers) {
    const TeamScope scope(buffers.threads());
    std::vector<const float*> addresses;
    for (const ValueId id : summands) {
      addresses.push_back(static_cast<const float*>(buffers.address(id)));
    }
    sum_and_finish(addresses.data(), addresses.size(), static_cast<float*>(buffers.address(result)),
                   floats, activation);
  };
  builder.add_step(function_step(describe(op, builder, "onednn openmp"), run), summands, {result});
}

std::shared_ptr<const void> relu_slope() {
  static const auto slope = std::make_shared<const float>(-0.f);
  return slope;
}

}  // namespace mobileone::onednn
