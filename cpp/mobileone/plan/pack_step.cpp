#include "mobileone/plan/pack_step.hpp"

namespace mobileone {

namespace {

class BoundPack : public BoundStep {
 public:
  BoundPack(const std::vector<Operand>& sources, ValueId result, const PlanBuilder::Pack& pack,
            const Buffers& buffers)
      : sources_(sources), result_(result), pack_(pack), buffers_(buffers), from_(sources.size()) {}

  void run() override {
    for (std::size_t i = 0; i < sources_.size(); ++i) from_[i] = sources_[i].address(buffers_);
    pack_(from_.data(), static_cast<float*>(buffers_.address(result_)));
  }

 private:
  const std::vector<Operand>& sources_;
  ValueId result_;
  const PlanBuilder::Pack& pack_;
  const Buffers& buffers_;
  std::vector<const float*> from_;
};

class PackStep : public Step {
 public:
  PackStep(StepInfo info, std::vector<Operand> sources, ValueId result, PlanBuilder::Pack pack)
      : Step(std::move(info)),
        sources_(std::move(sources)),
        result_(result),
        pack_(std::move(pack)) {}
  std::unique_ptr<BoundStep> bind(const Buffers& buffers) const override {
    return std::make_unique<BoundPack>(sources_, result_, pack_, buffers);
  }

 private:
  std::vector<Operand> sources_;
  ValueId result_;
  PlanBuilder::Pack pack_;
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
                                const Value& value, ValueId result, const PlanBuilder::Pack& pack) {
  return std::make_unique<PackStep>(pack_info(name, "loops", value), sources, result, pack);
}

}  // namespace mobileone
