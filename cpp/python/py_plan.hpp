// A plan as Python holds it.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bindings.hpp"
#include "mobileone/plan/plan.hpp"

namespace mobileone::python {

// Of the outputs that Python gets: batch statistics are the engine's own.
std::vector<Shape> wanted_shapes(const Plan& plan);

// Owns a plan; gives the GIL up while the plan is made, run and destroyed.
class PyPlan {
 public:
  PyPlan(const PyNetwork& network, const pybind11::sequence& input_shape,
         const std::vector<std::string>& outputs, int threads, bool training,
         const std::string& backend, const std::string& algorithm, bool gradients,
         const std::string& train_path, const Records& choices, const std::string& dtype,
         bool outer_loss, bool single_run);
  explicit PyPlan(std::shared_ptr<const Plan> plan);
  ~PyPlan();
  PyPlan(const PyPlan&) = delete;
  PyPlan& operator=(const PyPlan&) = delete;

  const Plan& plan() const { return *plan_; }

  void run(pybind11::array input, const pybind11::list& outputs) const;
  pybind11::array_t<std::int64_t> time(pybind11::array input, const pybind11::list& outputs,
                                       int runs) const;
  pybind11::tuple profile(pybind11::array input, const pybind11::list& outputs, int runs) const;
  PyNetwork train_forward(const PyNetwork& network, pybind11::array input,
                          const pybind11::list& outputs, std::uint64_t dropout_seed,
                          std::optional<pybind11::array> targets,
                          const std::optional<pybind11::function>& loss) const;

 private:
  struct Pointers;

  OuterLoss outer_loss(const pybind11::function& function) const;
  Shape logits_shape() const;

  std::shared_ptr<const Network> network_;
  std::shared_ptr<const Plan> plan_;
};

}  // namespace mobileone::python
