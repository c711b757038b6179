// Copies between bordered maps and other layouts: feature maps that are wanted, and the seams to
// steps of another backend. Plain loops; nothing of the fused path itself needs them.
#include "mobileone/backends/fused/reorder_step.hpp"

#include <algorithm>

#include "mobileone/backends/fused/tiled_step.hpp"
#include "mobileone/base/error.hpp"

namespace mobileone::fused {

namespace {

// Strides of one image, in floats: of a channel block, of a channel in it, of a row, of a pixel.
struct Strides {
  std::ptrdiff_t image = 0, block = 0, channel = 0, row = 0, pixel = 0, origin = 0;
  int channels_per_block = 1;

  explicit Strides(const Value& value) {
    const Shape& s = value.shape;
    const std::ptrdiff_t border = value.layout.border;
    const std::ptrdiff_t height = s[2] + 2 * border, width = s[3] + 2 * border;
    channels_per_block = value.layout.kind == Layout::Kind::blocked ? value.layout.block : 1;
    switch (value.layout.kind) {
      case Layout::Kind::nchw:
        pixel = 1, row = s[3], block = s[2] * s[3], channel = 0;
        break;
      case Layout::Kind::nhwc:
        pixel = s[1], row = s[3] * s[1], block = 1, channel = 0;
        break;
      case Layout::Kind::blocked:
        pixel = channels_per_block, row = width * pixel, block = height * row, channel = 1;
        break;
    }
    image = channels_per_block == 1 ? s[1] * s[2] * s[3]
                                    : (s[1] + channels_per_block - 1) / channels_per_block * block;
    origin = border * (row + pixel);
  }
  // Whether channels lie beside each other, up to whole blocks of 16.
  bool neighbours() const { return pixel > 1 && (channels_per_block == 1 || channel == 1); }
  std::ptrdiff_t plane(std::int64_t n, std::int64_t c) const {
    return n * image + c / channels_per_block * block + c % channels_per_block * channel + origin;
  }
};

// Of image `n`, a few neighbouring channels of a pixel at a time.
template <typename From>
void copy_pixels(const Strides& read, const From* src, const Strides& write, float* dst,
                 const Shape& shape, std::int64_t n) {
  constexpr std::int64_t step = kernels::kBlock / 2;  // divides the blocks of every layout
  for (std::int64_t c = 0; c < shape[1]; c += step) {
    const From* in = src + read.plane(n, c);
    float* out = dst + write.plane(n, c);
    const std::int64_t count = std::min(step, shape[1] - c);
    for (std::int64_t y = 0; y < shape[2]; ++y) {
      for (std::int64_t x = 0; x < shape[3]; ++x) {
        const From* from = in + y * read.row + x * read.pixel;
        float* to = out + y * write.row + x * write.pixel;
        if (count == step) {
          std::copy_n(from, step, to);
        } else {
          std::copy_n(from, count, to);
        }
      }
    }
  }
}

// Of image `n`, of float32 numbers or of bytes.
template <typename From>
void copy(const Value& from, const From* src, const Value& to, float* dst, std::int64_t n) {
  const Strides read(from), write(to);
  const Shape& shape = from.shape;
  std::fill_n(dst + n * write.image, write.image, 0.f);  // borders and padding channels
  if (read.neighbours() && write.neighbours()) return copy_pixels(read, src, write, dst, shape, n);
  for (std::int64_t c = 0; c < shape[1]; ++c) {
    const From* in = src + read.plane(n, c);
    float* out = dst + write.plane(n, c);
    for (std::int64_t y = 0; y < shape[2]; ++y) {
      for (std::int64_t x = 0; x < shape[3]; ++x) {
        out[y * write.row + x * write.pixel] =
            static_cast<float>(in[y * read.row + x * read.pixel]);
      }
    }
  }
}

class ReorderStep : public TiledStep {
 public:
  ReorderStep(StepInfo info, const Work& work, Value from, ValueId source, Value to, ValueId target)
      : TiledStep(std::move(info), work),
        from_(std::move(from)),
        to_(std::move(to)),
        source_(source),
        target_(target) {}

 protected:
  void run_units(const Buffers& buffers, const UnitRange& range) const override {
    float* const to = floats(buffers, target_);
    if (from_.layout.bytes) {
      const auto* const bytes = static_cast<const std::uint8_t*>(buffers.address(source_));
      return copy(from_, bytes, to_, to, range.image);
    }
    copy(from_, floats(buffers, source_), to_, to, range.image);
  }

 private:
  Value from_, to_;
  ValueId source_, target_;
};

}  // namespace

std::unique_ptr<Step> reorder_step(ValueId from, ValueId to, const PlanBuilder& builder) {
  const Value& source = builder.value(from);
  const Value& target = builder.value(to);
  if (source.layout.border == 0 && target.layout.border == 0) return nullptr;
  if (target.layout.bytes) return nullptr;  // numbers need not be such
  StepInfo info;
  info.name = concat(to_string(source.layout), " -> ", to_string(target.layout));
  info.kind = "Reorder";
  info.implementation = "plain loops";
  info.input_shapes = {source.shape};
  info.output_shape = target.shape;
  info.bytes = static_cast<std::int64_t>(source.bytes() + target.bytes());
  TiledStep::Work work;
  work.images = source.shape[0];
  return std::make_unique<ReorderStep>(std::move(info), work, source, from, target, to);
}

}  // namespace mobileone::fused
