#include "mobileone/backends/fused/support.hpp"

#include <stdexcept>

#include "mobileone/base/error.hpp"

namespace mobileone::fused {

const kernels::KernelTable& table() {
  static const kernels::KernelTable& chosen = kernels::kernels(kernels::detect_isa());
  return chosen;
}

const kernels::KernelTable& table(const PlanBuilder& builder) {
  const PlanArithmetic arithmetic = builder.options().arithmetic;
  if (arithmetic == PlanArithmetic::float32) return table();
  constexpr auto kBfloat16 = kernels::Precision::kBfloat16;
  if (arithmetic == PlanArithmetic::emulated_bfloat16) return kernels::emulation(kBfloat16);
  try {
    return kernels::kernels(kernels::detect_isa(), kBfloat16);
  } catch (const std::invalid_argument& error) {
    throw NotSupported(concat("[compile] dtype is 'bfloat16': ", error.what(),
                              "; backend='emulated' computes the same, slowly"));
  }
}

const kernels::QuantizedKernels* quantized_kernels() {
  static const auto supported = kernels::supported_quantized_kernels();
  return supported.empty() ? nullptr : supported.front();
}

bool is_map(NodeId id, const PlanBuilder& builder) {
  return builder.value(builder.value_of(id)).layout == map_layout();
}

kernels::MapShape map_shape(const Shape& shape) {
  return {static_cast<int>(shape[1]), static_cast<int>(shape[2]), static_cast<int>(shape[3])};
}

kernels::ByteMap byte_map(const Shape& shape) {
  return {static_cast<int>(shape[1]), static_cast<int>(shape[2]), static_cast<int>(shape[3])};
}

std::string implementation(const std::string& details, const kernels::KernelTable& kernels) {
  const bool wide = kernels.precision == kernels::Precision::kFloat32;
  const std::string name = concat("fused ", kernels::isa_name(kernels.isa), wide ? "" : "_bf16",
                                  kernels.emulated ? " emulated" : "");
  return details.empty() ? name : concat(name, " ", details);
}

std::string note_precision(NodeId id, const kernels::KernelTable& kernels, PlanBuilder& builder) {
  if (kernels.precision == kernels::Precision::kFloat32) return "";
  builder.bfloat16_nodes.push_back(id);
  return concat(" ", implementation("", kernels));
}

const float* NodeWeights::weight() const {
  return builder_.network().weight(node_.name + ".weight").f32();
}

const float* NodeWeights::bias() const {
  const auto* conv = std::get_if<Conv2d>(&node_.op);
  const auto* linear = std::get_if<Linear>(&node_.op);
  const bool present = (!conv || conv->bias) && (!linear || linear->bias);
  return present ? builder_.network().weight(node_.name + ".bias").f32() : nullptr;
}

kernels::AlgorithmChoice algorithm_choice(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::direct:
      return kernels::AlgorithmChoice::kDirect;
    case Algorithm::strassen:
      return kernels::AlgorithmChoice::kStrassen;
    case Algorithm::automatic:
      break;
  }
  return kernels::AlgorithmChoice::kAuto;
}

void zero_borders(const kernels::MapShape& map, std::int64_t images, ValueId id,
                  const Buffers& buffers) {
  if (buffers.border_kept(id)) return;
  auto* data = static_cast<float*>(buffers.address(id));
  for (std::int64_t image = 0; image < images; ++image) {
    kernels::zero_border(map, data + image * map.num_floats());
  }
}

}  // namespace mobileone::fused
