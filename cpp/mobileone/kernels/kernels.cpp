#include "mobileone/kernels/kernels.hpp"

namespace mobileone::kernels {

namespace avx2 {
extern const KernelTable kTable;
}
namespace avx512 {
extern const KernelTable kTable;
}

const KernelTable& kernels(Isa isa) { return isa == Isa::kAvx512 ? avx512::kTable : avx2::kTable; }

}  // namespace mobileone::kernels
