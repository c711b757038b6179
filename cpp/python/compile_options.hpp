// The names that Python gives what a plan is compiled for.
#pragma once

#include <string>

#include "mobileone/plan/builder.hpp"

namespace mobileone::python {

// Each throws Error naming what is expected.
BackendChoice to_backend(const std::string& name);
Algorithm to_algorithm(const std::string& name);
PlanArithmetic to_arithmetic(const std::string& dtype, const std::string& backend);
TrainPath to_train_path(const std::string& name);

}  // namespace mobileone::python
