#include "onednn_loader.hpp"

#include <dlfcn.h>
#include <oneapi/dnnl/dnnl_version.h>
#include <pybind11/pybind11.h>

#include <atomic>
#include <cstdlib>
#include <mutex>

#include "mobileone/backends/onednn/library.hpp"
#include "mobileone/base/error.hpp"

namespace py = pybind11;

namespace mobileone {

namespace {

constexpr const char* kFile = "libmobileone_onednn.so";
constexpr const char* kSymbol = "mobileone_onednn";

std::atomic<const onednn::Library*> loaded{nullptr};

// The folder of this extension.
std::string folder() {
  Dl_info info;
  if (dladdr(reinterpret_cast<const void*>(&folder), &info) == 0 || info.dli_fname == nullptr) {
    return "";
  }
  const std::string path = info.dli_fname;
  return path.substr(0, path.find_last_of('/') + 1);
}

// Rounds that a waiting thread of GNU OpenMP spins before it sleeps: what libgomp itself takes when
// it knows that cores are oversubscribed, some 50 us. Its default is milliseconds, during which
// waiting threads keep the core from the thread they wait for: on a busy machine that made a run of
// 3 ms take 900. libgomp reads its environment once, when it comes in.
class BoundedSpinning {
 public:
  BoundedSpinning() : ours_(!std::getenv("OMP_WAIT_POLICY") && !std::getenv("GOMP_SPINCOUNT")) {
    if (ours_) setenv("GOMP_SPINCOUNT", "1000", 1);
  }
  ~BoundedSpinning() {
    if (ours_) unsetenv("GOMP_SPINCOUNT");
  }
  BoundedSpinning(const BoundedSpinning&) = delete;
  BoundedSpinning& operator=(const BoundedSpinning&) = delete;

 private:
  bool ours_;
};

const onednn::Library* load() {
  const std::string path = folder() + kFile;
  const BoundedSpinning environment;
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const std::string reason = dlerror();
    // The one library beyond the C and C++ runtimes that the wheel expects of the system.
    const bool openmp = reason.find("libgomp") != std::string::npos;
    throw StateError(concat(
        "[onednn] ", path, " cannot be loaded (", reason, "); ",
        openmp ? "expected GNU OpenMP: install the system's package libgomp1 (Debian, Ubuntu) or "
                 "libgomp (Fedora, RHEL, Alpine). Inference forms run without it"
               : "expected it beside the extension: install mobileone again"));
  }
  using Entry = const onednn::Library* (*)();
  const auto entry = reinterpret_cast<Entry>(dlsym(handle, kSymbol));
  if (entry == nullptr) {
    throw StateError(concat("[onednn] ", path, " has no function ", kSymbol,
                            "; expected the file of the same build as the extension"));
  }
  return entry();
}

}  // namespace

namespace onednn {

const Library& library() {
  if (const Library* found = loaded.load()) return *found;
  // Under the GIL: Python reads and writes the environment under it too.
  const py::gil_scoped_acquire gil;
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  if (loaded.load() == nullptr) loaded = load();
  return *loaded.load();
}

}  // namespace onednn

namespace python {

std::string onednn_version() {
  if (const onednn::Library* library = loaded.load()) return library->version();
  return concat(DNNL_VERSION_MAJOR, ".", DNNL_VERSION_MINOR, ".", DNNL_VERSION_PATCH, " (",
                DNNL_VERSION_HASH, ")");
}

}  // namespace python

}  // namespace mobileone
