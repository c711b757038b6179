#include "mobileone/train/running_statistics.hpp"

namespace mobileone {

namespace {

Tensor moved(const Tensor& running, const float* batch, double momentum, double scale) {
  std::vector<double> values = running.to_doubles();
  for (std::size_t c = 0; c < values.size(); ++c) {
    values[c] = (1.0 - momentum) * values[c] + momentum * scale * static_cast<double>(batch[c]);
  }
  return Tensor::from_doubles(running.shape(), values);
}

}  // namespace

Network update_running_statistics(const Network& network,
                                  const std::vector<BatchStatistics>& batch) {
  Network result = network;
  for (const BatchStatistics& statistics : batch) {
    const Node& node = network.graph.node(statistics.node);
    const double momentum = std::get<BatchNorm>(node.op).momentum;
    const auto count = static_cast<double>(statistics.count);
    Tensor& mean = result.weights.at(node.name + ".running_mean");
    Tensor& variance = result.weights.at(node.name + ".running_var");
    Tensor& tracked = result.weights.at(node.name + ".num_batches_tracked");
    mean = moved(mean, statistics.mean, momentum, 1.0);
    variance = moved(variance, statistics.variance, momentum, count / (count - 1.0));
    tracked = Tensor::from_int64(*tracked.i64() + 1);
  }
  return result;
}

}  // namespace mobileone
