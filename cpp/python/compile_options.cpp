#include "compile_options.hpp"

#include "mobileone/base/error.hpp"

namespace mobileone::python {

BackendChoice to_backend(const std::string& name) {
  if (name == "auto" || name == "emulated") return BackendChoice::automatic;
  if (name == "onednn") return BackendChoice::onednn;
  if (name == "loops") return BackendChoice::loops;
  throw Error(concat("[compile] backend is '", name,
                     "'; expected 'auto', 'onednn', 'loops' or 'emulated'"));
}

Algorithm to_algorithm(const std::string& name) {
  if (name == "auto") return Algorithm::automatic;
  if (name == "direct") return Algorithm::direct;
  if (name == "strassen") return Algorithm::strassen;
  throw Error(
      concat("[compile] algorithm is '", name, "'; expected 'auto', 'direct' or 'strassen'"));
}

PlanArithmetic to_arithmetic(const std::string& dtype, const std::string& backend) {
  const bool emulated = backend == "emulated";
  if (dtype == "float32" && !emulated) return PlanArithmetic::float32;
  if (dtype == "float32") {
    throw Error("[compile] backend is 'emulated' and dtype 'float32'; expected 'bfloat16'");
  }
  if (dtype != "bfloat16") {
    throw Error(concat("[compile] dtype is '", dtype, "'; expected 'float32' or 'bfloat16'"));
  }
  if (!emulated && backend != "auto") {
    throw Error(concat("[compile] dtype is 'bfloat16' and backend '", backend,
                       "'; expected 'auto' or 'emulated'"));
  }
  return emulated ? PlanArithmetic::emulated_bfloat16 : PlanArithmetic::bfloat16;
}

TrainPath to_train_path(const std::string& name) {
  if (name == "auto") return TrainPath::automatic;
  if (name == "moments") return TrainPath::moments;
  if (name == "branches") return TrainPath::branches;
  throw Error(
      concat("[compile] train_path is '", name, "'; expected 'auto', 'moments' or 'branches'"));
}

}  // namespace mobileone::python
