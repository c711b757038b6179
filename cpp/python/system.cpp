// Versions and build facts for reports.
#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "arrays.hpp"
#include "bindings.hpp"
#include "gil.hpp"
#include "mobileone/backends/fused/peak.hpp"
#include "mobileone/backends/onednn/library.hpp"
#include "mobileone/kernels/tiling/machine.hpp"
#include "onednn_loader.hpp"

#define MOBILEONE_TEXT_(x) #x
#define MOBILEONE_TEXT(x) MOBILEONE_TEXT_(x)

namespace mobileone::python {

namespace {

template <typename Model>
py::dict describe(const Model& model) {
  py::dict result;
  if (kernels::supported_isas().empty()) return result;
  const kernels::MachineModel machine = model(kernels::kernels(kernels::detect_isa()));
  result["l1_bytes"] = machine.l1_bytes;
  result["l2_bytes"] = machine.l2_bytes;
  result["peak_gflops"] = machine.peak_flops * 1e-9;
  result["l2_gbytes_per_second"] = machine.l2_bytes_per_second * 1e-9;
  result["far_gbytes_per_second"] = machine.far_bytes_per_second * 1e-9;
  return result;
}

}  // namespace

void bind_system(py::module_& module) {
  module.attr("__version__") = MOBILEONE_TEXT(MOBILEONE_VERSION);
  module.def("onednn_version", &onednn_version, "Version and commit of oneDNN; does not load it.");
  module.def(
      "onednn_channel_block", [] { return onednn::library().channel_block(); },
      "Channels per block: 16 when oneDNN may use AVX-512, else 8.");
  module.def("isa", &fused::isa_in_use,
             "Instruction set of the fused kernels: avx512, avx2, or none (all on oneDNN).");
  module.def(
      "quantized_isa", &fused::quantized_isa_in_use,
      "Instruction set of the kernels of 8-bit integers: avx512_vbmi, avx512_vnni, avx_vnni,\n"
      "avx2_madd, none.");
  module.def(
      "kernel_parameters",
      [] {
        py::dict result;
        result["isa"] = fused::isa_in_use();
        for (const auto& [name, value] : fused::packing_parameters()) result[py::str(name)] = value;
        return result;
      },
      "What the layout of packed weights depends on.");
  module.def("available_isas", &fused::available_isas,
             "What this CPU could run, fastest first; MOBILEONE_MAX_ISA takes these names.");
  module.def("native_dtypes", &fused::native_dtypes,
             "What compile(dtype=) computes in by the instructions of the set in use.");
  module.def("peak_gflops", &fused::peak_gflops, py::arg("threads") = 1,
             py::call_guard<GilRelease>(),
             "Measured GFLOP/s of independent FMAs in registers on that many threads.");
  module.def(
      "machine_model", [] { return describe(kernels::machine_model); },
      "What fused plans are chosen by, known of this kind of CPU: cache sizes, and one core's peak "
      "and "
      "reads from L2 and from beyond it. Empty where there are no kernels.");
  module.def(
      "measured_machine", [] { return describe(kernels::measure_machine); },
      "The same, measured on this core now: about 20 ms.");
  module.def(
      "machine_name", [] { return std::string(kernels::this_machine().name); },
      "The kind of CPU that machine_model() is of: one of known_machines().");
  module.def(
      "known_machines",
      [] {
        std::vector<std::string> names;
        for (const auto& machine : kernels::known_machines()) names.emplace_back(machine.name);
        return names;
      },
      "Kinds of CPU whose plans force_machine can make.");
  module.def("force_machine", &kernels::force_machine, py::arg("name"),
             "Plans made from now on are those of that kind of CPU; \"\" ends it. For tests.");
  module.def(
      "build_info",
      [] {
        py::dict result;
        result["version"] = MOBILEONE_TEXT(MOBILEONE_VERSION);
        result["compiler"] = MOBILEONE_TEXT(MOBILEONE_COMPILER);
        result["build_type"] = MOBILEONE_TEXT(MOBILEONE_BUILD_TYPE);
        result["cxx_standard"] = __cplusplus;
        return result;
      },
      "Compiler, build type and version of this extension.");
}

}  // namespace mobileone::python
