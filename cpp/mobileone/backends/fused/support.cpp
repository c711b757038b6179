#include "mobileone/backends/fused/support.hpp"

namespace mobileone::fused {

const kernels::KernelTable& table() {
  static const kernels::KernelTable& chosen = kernels::kernels(kernels::detect_isa());
  return chosen;
}

kernels::MapShape map_shape(const Shape& shape) {
  return {static_cast<int>(shape[1]), static_cast<int>(shape[2]), static_cast<int>(shape[3])};
}

const float* weight_data(const PlanBuilder& builder, const std::string& name, bool present) {
  return present ? builder.network().weight(name).f32() : nullptr;
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
