#include "mobileone/plan/pack_step.hpp"

namespace mobileone {

namespace {

class PackStep : public Step {
 public:
  PackStep(StepInfo info, std::vector<Operand> sources, ValueId result, Pack pack)
      : Step(std::move(info)),
        sources_(std::move(sources)),
        result_(result),
        pack_(std::move(pack)) {}
  std::unique_ptr<BoundStep> bind(const Buffers& buffers) const override {
    return std::make_unique<Bound>(*this, buffers);
  }

 private:
  class Bound : public BoundStep {
   public:
    Bound(const PackStep& step, const Buffers& buffers)
        : step_(step), buffers_(buffers), from_(step.sources_.size()) {}
    void run() override {
      for (std::size_t i = 0; i < from_.size(); ++i) from_[i] = step_.sources_[i].address(buffers_);
      step_.pack_(from_.data(), static_cast<float*>(buffers_.address(step_.result_)));
    }

   private:
    const PackStep& step_;
    const Buffers& buffers_;
    std::vector<const float*> from_;
  };

  std::vector<Operand> sources_;
  ValueId result_;
  Pack pack_;
};

class WhenChanged : public Step {
 public:
  WhenChanged(std::unique_ptr<Step> step, std::vector<std::size_t> slots)
      : Step(step->info()), step_(std::move(step)), slots_(std::move(slots)) {}
  std::size_t scratch_bytes() const override { return step_->scratch_bytes(); }
  std::unique_ptr<BoundStep> bind(const Buffers& buffers) const override {
    return std::make_unique<Bound>(*this, buffers);
  }

 private:
  class Bound : public BoundStep {
   public:
    Bound(const WhenChanged& step, const Buffers& buffers)
        : slots_(step.slots_),
          buffers_(buffers),
          bound_(step.step_->bind(buffers)),
          packed_(step.slots_.size()) {}
    void run() override {
      bool same = true;
      for (std::size_t i = 0; i < slots_.size(); ++i) same &= packed_[i] == parameter(i);
      if (same) return;
      bound_->run();
      for (std::size_t i = 0; i < slots_.size(); ++i) packed_[i] = parameter(i);
    }

   private:
    const std::shared_ptr<const void>& parameter(std::size_t i) const {
      return buffers_.arguments.parameters[slots_[i]];
    }

    const std::vector<std::size_t>& slots_;
    const Buffers& buffers_;
    std::unique_ptr<BoundStep> bound_;
    // Held, so that no other tensor can come to lie at their addresses.
    std::vector<std::shared_ptr<const void>> packed_;
  };

  std::unique_ptr<Step> step_;
  std::vector<std::size_t> slots_;
};

}  // namespace

StepInfo pack_info(const std::string& name, const std::string& implementation, const Value& value) {
  StepInfo info;
  info.name = name;
  info.kind = "Pack";
  info.implementation = implementation;
  info.input_shapes = {value.shape};
  info.output_shape = value.shape;
  info.bytes = static_cast<std::int64_t>(2 * value.bytes());
  return info;
}

std::unique_ptr<Step> pack_step(const std::string& name, const std::vector<Operand>& sources,
                                const Value& value, ValueId result, const Pack& pack) {
  return std::make_unique<PackStep>(pack_info(name, "loops", value), sources, result, pack);
}

std::unique_ptr<Step> when_changed(std::unique_ptr<Step> step, std::vector<std::size_t> slots) {
  return std::make_unique<WhenChanged>(std::move(step), std::move(slots));
}

}  // namespace mobileone
