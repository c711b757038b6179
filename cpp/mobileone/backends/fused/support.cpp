#include "mobileone/backends/fused/support.hpp"

#include <map>
#include <memory>
#include <mutex>

#include "mobileone/base/error.hpp"

namespace mobileone::fused {

const kernels::KernelTable& table() {
  static const kernels::KernelTable& chosen = kernels::kernels(kernels::detect_isa());
  return chosen;
}

ThreadPool* pool(int threads) {
  if (threads == 1) return nullptr;
  static std::mutex mutex;
  // Never destroyed: at exit a worker may still be needed by a thread that outlives main.
  static auto& pools = *new std::map<int, std::unique_ptr<ThreadPool>>;
  const std::lock_guard lock(mutex);
  std::unique_ptr<ThreadPool>& slot = pools[threads];
  if (!slot) slot = std::make_unique<ThreadPool>(threads);
  return slot.get();
}

bool is_map(NodeId id, const PlanBuilder& builder) {
  return builder.value(builder.value_of(id)).layout == map_layout();
}

kernels::MapShape map_shape(const Shape& shape) {
  return {static_cast<int>(shape[1]), static_cast<int>(shape[2]), static_cast<int>(shape[3])};
}

std::string implementation(const std::string& details) {
  const std::string name = concat("fused ", kernels::isa_name(table().isa));
  return details.empty() ? name : concat(name, " ", details);
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
