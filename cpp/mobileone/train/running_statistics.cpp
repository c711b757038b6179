#include "mobileone/train/running_statistics.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "mobileone/base/error.hpp"
#include "mobileone/graph/ascending.hpp"

namespace mobileone {

namespace {

// Storage for many small tensors, which live and die together.
class Pool {
 public:
  explicit Pool(std::size_t bytes) : block_(allocate_aligned(bytes)) {}

  // What a tensor of that many bytes takes.
  static std::size_t room(std::size_t bytes) { return (bytes + 63) / 64 * 64; }
  std::shared_ptr<void> take(std::size_t bytes) {
    const std::shared_ptr<void> start(block_, static_cast<std::byte*>(block_.get()) + used_);
    used_ += room(bytes);
    return start;
  }

 private:
  std::shared_ptr<void> block_;
  std::size_t used_ = 0;
};

Tensor moved(const Tensor& running, const float* batch, double momentum, double scale, Pool& pool) {
  const float* old = running.f32();
  const auto channels = static_cast<std::size_t>(running.size());
  const std::shared_ptr<void> storage = pool.take(channels * sizeof(float));
  auto* values = static_cast<float*>(storage.get());
  for (std::size_t c = 0; c < channels; ++c) {
    values[c] = static_cast<float>((1.0 - momentum) * static_cast<double>(old[c]) +
                                   momentum * scale * static_cast<double>(batch[c]));
  }
  return {running.shape(), DType::float32, storage};
}

Tensor counted(const Tensor& tracked, Pool& pool) {
  const std::shared_ptr<void> storage = pool.take(sizeof(std::int64_t));
  *static_cast<std::int64_t*>(storage.get()) = *tracked.i64() + 1;
  return {tracked.shape(), DType::int64, storage};
}

// Throws NotFinite naming the first channel whose statistics are no numbers to go on from.
void check_finite(const Graph& graph, const BatchStatistics& batch) {
  const Node& node = graph.node(batch.node);
  const std::int64_t channels = std::get<BatchNorm>(node.op).channels;
  for (const auto& [what, values] : {std::pair{"mean", batch.mean}, {"variance", batch.variance}}) {
    for (std::int64_t c = 0; c < channels; ++c) {
      if (std::isfinite(values[c])) continue;
      throw NotFinite(concat("[train] ", node.name, ": the batch's ", what, " in channel ", c,
                             " is ", values[c],
                             "; expected a finite number. Running statistics stay as they "
                             "were: look for NaN and infinity in the images and the weights"));
    }
  }
}

std::size_t pool_bytes(const Graph& graph, const std::vector<BatchStatistics>& batch) {
  std::size_t bytes = 0;
  for (const BatchStatistics& statistics : batch) {
    const auto& op = std::get<BatchNorm>(graph.node(statistics.node).op);
    bytes += 2 * Pool::room(static_cast<std::size_t>(op.channels) * sizeof(float)) +
             Pool::room(sizeof(std::int64_t));
  }
  return bytes;
}

}  // namespace

Network update_running_statistics(const Network& network,
                                  const std::vector<BatchStatistics>& batch) {
  for (const BatchStatistics& statistics : batch) check_finite(network.graph, statistics);
  Network result = network;
  Pool pool(pool_bytes(network.graph, batch));
  std::vector<std::pair<std::string, const BatchStatistics*>> by_name;
  for (const BatchStatistics& statistics : batch) {
    by_name.emplace_back(network.graph.node(statistics.node).name + ".", &statistics);
  }
  std::sort(by_name.begin(), by_name.end());
  AscendingFinder finder(result.weights);
  for (const auto& [prefix, statistics] : by_name) {
    const auto weight = [&, &name = prefix](const char* suffix) -> Tensor& {
      if (Tensor* found = finder.find(name + suffix)) return *found;
      throw Error(concat("[train] no weight ", name, suffix));
    };
    const double momentum = std::get<BatchNorm>(network.graph.node(statistics->node).op).momentum;
    const auto count = static_cast<double>(statistics->count);
    Tensor& tracked = weight("num_batches_tracked");
    Tensor& mean = weight("running_mean");
    Tensor& variance = weight("running_var");
    tracked = counted(tracked, pool);
    mean = moved(mean, statistics->mean, momentum, 1.0, pool);
    variance = moved(variance, statistics->variance, momentum, count / (count - 1.0), pool);
  }
  return result;
}

}  // namespace mobileone
