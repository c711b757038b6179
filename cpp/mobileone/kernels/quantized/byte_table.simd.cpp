#include "mobileone/kernels/quantized/bytes.hpp"
#include "mobileone/kernels/quantized/entry_points.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

extern const QuantizedKernels kQuantizedKernels;

#define MOBILEONE_NAME(isa) #isa
#define MOBILEONE_NAME_OF(isa) MOBILEONE_NAME(isa)
const QuantizedKernels kQuantizedKernels{MOBILEONE_NAME_OF(MOBILEONE_ISA),
                                         kTraits,
                                         run_quantized_block,
                                         run_quantized_stem,
                                         scale_bytes,
                                         pool_bytes,
                                         run_quantized_linear};

}  // namespace mobileone::kernels::MOBILEONE_ISA
