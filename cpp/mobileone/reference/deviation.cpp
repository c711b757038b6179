#include "mobileone/reference/deviation.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <set>

#include "mobileone/base/error.hpp"
#include "mobileone/reference/evaluate.hpp"

namespace mobileone {

namespace {

using reference::Evaluator;
using reference::RandomRounding;
using reference::Schedule;
using reference::Values;

constexpr std::size_t kNeighbours = 8;  // at least as many pixels are pooled, where there are

// The errors of all samples. Pixels of a plane are pooled in runs of kNeighbours or a few more: a
// spot that is much louder than its plane keeps its own deviation.
class Errors {
 public:
  Errors(std::size_t size, std::size_t plane) : plane_(plane), squares_(size, 0.0) {}

  void add(const Values& exact, const Values& sample) {
    for (std::size_t i = 0; i < squares_.size(); ++i) {
      const double error = sample[i] - exact[i];
      squares_[i] += error * error;
    }
    ++samples_;
  }

  Deviation deviation() const {
    const std::size_t runs = std::max<std::size_t>(1, plane_ / kNeighbours);
    double total = 0.0, largest = 0.0;
    for (std::size_t first = 0; first < squares_.size(); first += plane_) {
      for (std::size_t run = 0; run < runs; ++run) {
        const std::size_t begin = run * plane_ / runs, end = (run + 1) * plane_ / runs;
        double sum = 0.0;
        for (std::size_t i = begin; i < end; ++i) sum += squares_[first + i];
        total += sum;
        largest = std::max(largest, sum / static_cast<double>(end - begin));
      }
    }
    if (squares_.empty()) return {};
    if (std::isnan(total)) return {total, total};  // std::max drops NaN
    return {std::sqrt(total / (samples_ * static_cast<double>(squares_.size()))),
            std::sqrt(largest / samples_)};
  }

 private:
  std::size_t plane_;  // pixels
  Values squares_;     // summed over samples
  double samples_ = 0.0;
};

// Replica 0 is exact, the others carry random errors; all advance node by node.
class MonteCarlo {
 public:
  MonteCarlo(const Network& network, const ReferenceInputs& inputs, int samples, std::uint64_t seed,
             Mode mode, int threads, std::uint64_t dropout_seed,
             const std::vector<NodeId>& bfloat16)
      : network_(network),
        evaluator_(network, inputs, mode, threads, dropout_seed),
        values_(static_cast<std::size_t>(samples) + 1,
                std::vector<ReferenceTensor>(network.graph.nodes().size())),
        statistics_(static_cast<std::size_t>(samples) + 1) {
    for (int sample = 0; sample < samples; ++sample) samples_.emplace_back(seed, sample);
    for (NodeId id : bfloat16) {
      const std::string& name = network.graph.node(id).name;
      for (RandomRounding& sample : samples_) {
        sample.make_bfloat16(name + ".weight");
        sample.make_bfloat16(name + ".input");
      }
      rounds_input_.insert(id);
    }
  }

  void run(const Schedule& schedule) {
    for (std::size_t id = 0; id < schedule.needed.size(); ++id) {
      if (!schedule.needed[id]) continue;
      evaluate(static_cast<NodeId>(id));
      for (NodeId dead : schedule.dead_after[id]) {
        for (auto& replica : values_) replica[static_cast<std::size_t>(dead)] = {};
      }
    }
  }

  DeviationResult measure(const std::vector<NodeId>& outputs) const {
    DeviationResult result;
    for (NodeId output : outputs) {
      const auto at = static_cast<std::size_t>(output);
      const ReferenceTensor& exact = values_[0][at];
      std::size_t plane = 1;
      for (std::size_t axis = 2; axis < exact.shape.size(); ++axis) {
        plane *= static_cast<std::size_t>(exact.shape[axis]);
      }
      Errors errors(exact.values.size(), plane);
      for (std::size_t r = 1; r < values_.size(); ++r) {
        errors.add(exact.values, values_[r][at].values);
      }
      result.outputs.push_back(errors.deviation());
    }
    for (const auto& [name, exact] : statistics_[0]) {
      Errors errors(exact.size(), 1);
      for (std::size_t r = 1; r < values_.size(); ++r) errors.add(exact, statistics_[r].at(name));
      result.statistics[name] = errors.deviation();
    }
    return result;
  }

 private:
  void evaluate(NodeId id) {
    const Node& node = network_.graph.node(id);
    const auto at = static_cast<std::size_t>(id);
    Values deviation;
    for (std::size_t r = 0; r < values_.size(); ++r) {
      std::vector<const ReferenceTensor*> inputs = evaluator_.inputs_of(id, values_[r]);
      const RandomRounding* rounding = r == 0 ? nullptr : &samples_[r - 1];
      ReferenceTensor rounded;
      if (r > 0 && rounds_input_.contains(id)) {
        rounded = *inputs[0];
        rounding->round(node.name + ".input", rounded.values);
        inputs[0] = &rounded;
      }
      values_[r][at] = evaluator_.evaluate(id, inputs, rounding, &statistics_[r]);
      if (r == 0) {
        deviation = local_deviation(evaluator_, id, inputs, values_[r][at]);
      } else {
        samples_[r - 1].result(node.name, deviation, values_[r][at], evaluator_.threads);
      }
    }
  }

  const Network& network_;
  Evaluator evaluator_;
  std::vector<std::vector<ReferenceTensor>> values_;  // [replica][node]
  std::vector<RunningStatistics> statistics_;         // [replica]
  std::vector<RandomRounding> samples_;
  std::set<NodeId> rounds_input_;  // to bfloat16
};

}  // namespace

DeviationResult error_deviation(const Network& network, const ReferenceInputs& inputs,
                                const std::vector<NodeId>& outputs, int samples, std::uint64_t seed,
                                Mode mode, int threads, std::uint64_t dropout_seed,
                                const std::vector<NodeId>& bfloat16) {
  if (samples < 1) throw Error(concat("[reference] samples is ", samples, "; expected at least 1"));
  const Schedule schedule(network.graph, outputs);
  MonteCarlo monte_carlo(network, inputs, samples, seed, mode, threads, dropout_seed, bfloat16);
  monte_carlo.run(schedule);
  return monte_carlo.measure(outputs);
}

DeviationResult error_deviation(const Network& network, const ReferenceTensor& input,
                                const std::vector<NodeId>& outputs, int samples, std::uint64_t seed,
                                Mode mode, int threads, std::uint64_t dropout_seed) {
  return error_deviation(network, reference::only_input(network.graph, input), outputs, samples,
                         seed, mode, threads, dropout_seed);
}

}  // namespace mobileone
