#include "layers/ops/cpu/weighted.h"

#include <algorithm>
#include <cstring>

namespace lockstep::onednn {
namespace {

// The weight in a primitive's own layout, and behind it what bringing it there takes.
class PreparedWeight {
 public:
  PreparedWeight(const Desc& plain, const Desc& wanted)
      : weight_bytes_(aligned(wanted.get_size())),
        reorder_(describe_reorder(plain, wanted), {{DNNL_ARG_FROM, plain}, {DNNL_ARG_TO, wanted}}, 1) {}

  std::size_t bytes() const { return weight_bytes_ + reorder_.scratchpad_bytes(); }
  void prepare(const float* weight, std::byte* memory) {
    reorder_(0, {weight, memory}, memory + weight_bytes_);
    data_ = memory;
  }
  const std::byte* data() const { return data_; }

 private:
  std::size_t weight_bytes_;
  Call reorder_;
  const std::byte* data_ = nullptr;
};

class Forward {
 public:
  Forward(const Weighted& weighted, const dnnl::primitive_desc_base& desc, int threads)
      : weight_(weighted.weight, desc.query_md(dnnl::query::weights_md)),
        call_(desc,
              {{DNNL_ARG_SRC, weighted.source},
               {DNNL_ARG_WEIGHTS, desc.query_md(dnnl::query::weights_md)},
               {DNNL_ARG_BIAS, weighted.bias},
               {DNNL_ARG_DST, weighted.destination}},
              threads),
        residual_bytes_(weighted.residual ? weighted.destination.get_size() : 0),
        implementation_(desc.impl_info_str()) {
    report_reference(implementation_, weighted.what + ", forward,", weighted.allow_reference);
  }

  std::size_t scratch_bytes() const { return call_.scratchpad_bytes(); }
  std::size_t prepared_bytes() const { return weight_.bytes(); }
  void prepare(const float* weight, std::byte* memory) { weight_.prepare(weight, memory); }
  void run(const ForwardArguments& arguments) const {
    if (residual_bytes_ > 0 && arguments.inputs[1] != arguments.output) {
      std::memcpy(arguments.output, arguments.inputs[1], residual_bytes_);
    }
    call_(arguments.position.thread,
          {arguments.inputs[0], weight_.data(), arguments.parameters[1], arguments.output},
          arguments.scratch);
  }
  BarePrimitive bare() const {
    return {BarePrimitive::Pass::forward, implementation_,
            [this](const void* input, const void* other, void* result, std::byte* scratch) {
              call_(0, {input, weight_.data(), other, result}, scratch);  // any numbers do for a bias
            }};
  }

 private:
  PreparedWeight weight_;
  Call call_;
  std::size_t residual_bytes_;
  std::string implementation_;
};

class BackwardData {
 public:
  BackwardData(const Weighted& weighted, const dnnl::primitive_desc_base& desc, int threads)
      : weight_(weighted.weight, desc.query_md(dnnl::query::weights_md)),
        call_(desc,
              {{DNNL_ARG_DIFF_DST, weighted.destination},
               {DNNL_ARG_WEIGHTS, desc.query_md(dnnl::query::weights_md)},
               {DNNL_ARG_DIFF_SRC, weighted.source}},
              threads),
        implementation_(desc.impl_info_str()) {
    report_reference(implementation_, weighted.what + ", backward to its input,", weighted.allow_reference);
  }

  std::size_t scratch_bytes() const { return call_.scratchpad_bytes(); }
  std::size_t prepared_bytes() const { return weight_.bytes(); }
  void prepare(const float* weight, std::byte* memory) { weight_.prepare(weight, memory); }
  void run(const BackwardArguments& arguments) const {
    call_(arguments.position.thread,
          {arguments.output_gradient, weight_.data(), arguments.input_gradients[0]}, arguments.scratch);
  }
  BarePrimitive bare() const {
    return {BarePrimitive::Pass::backward_data, implementation_,
            [this](const void* /*input*/, const void* gradient, void* result, std::byte* scratch) {
              call_(0, {gradient, weight_.data(), result}, scratch);
            }};
  }

 private:
  PreparedWeight weight_;
  Call call_;
  std::string implementation_;
};

class BackwardWeight {
 public:
  BackwardWeight(const Weighted& weighted, const dnnl::primitive_desc_base& desc, int threads)
      : BackwardWeight(weighted, desc, desc.query_md(dnnl::query::diff_weights_md), threads) {
    report_reference(implementation_, weighted.what + ", backward to its weight,", weighted.allow_reference);
  }

  // The gradient in the primitive's layout, then a scratchpad.
  std::size_t scratch_bytes() const {
    return gradient_bytes_ + std::max(call_.scratchpad_bytes(), reorder_.scratchpad_bytes());
  }
  void run(const BackwardArguments& arguments) const {
    const int thread = arguments.position.thread;
    std::byte* scratchpad = arguments.scratch + gradient_bytes_;
    const bool in_place = is_plain_ || arguments.native_gradient;
    void* gradient = in_place ? static_cast<void*>(arguments.parameter_gradients[0]) : arguments.scratch;
    call_(thread,
          {arguments.inputs[0], arguments.output_gradient, gradient, arguments.parameter_gradients[1]},
          scratchpad);
    if (!in_place) reorder_(thread, {gradient, arguments.parameter_gradients[0]}, scratchpad);
  }
  bool has_native_gradient() const { return !is_plain_ && !is_padded_; }
  const Call& to_plain() const { return reorder_; }
  BarePrimitive bare() const {
    return {BarePrimitive::Pass::backward_weight, implementation_,
            [this](const void* input, const void* gradient, void* result, std::byte* scratch) {
              call_(0, {input, gradient, scratch, result}, scratch + gradient_bytes_);
            }};
  }

 private:
  BackwardWeight(const Weighted& weighted, const dnnl::primitive_desc_base& desc, const Desc& gradient,
                 int threads)
      : is_plain_(gradient == weighted.weight),
        is_padded_(gradient.get_size() != weighted.weight.get_size()),
        gradient_bytes_(aligned(gradient.get_size())),
        call_(desc,
              {{DNNL_ARG_SRC, weighted.source},
               {DNNL_ARG_DIFF_DST, weighted.destination},
               {DNNL_ARG_DIFF_WEIGHTS, gradient},
               {DNNL_ARG_DIFF_BIAS, weighted.bias}},
              threads),
        reorder_(describe_reorder(gradient, weighted.weight),
                 {{DNNL_ARG_FROM, gradient}, {DNNL_ARG_TO, weighted.weight}}, threads),
        implementation_(desc.impl_info_str()) {}

  bool is_plain_;
  bool is_padded_;
  std::size_t gradient_bytes_;
  Call call_;
  Call reorder_;
  std::string implementation_;
};

class WeightedKernel final : public Kernel {
 public:
  WeightedKernel(const Weighted& weighted, int threads) : forward_(weighted, weighted.forward, threads) {
    if (weighted.backward_data) backward_data_.emplace(weighted, *weighted.backward_data, threads);
    if (weighted.backward_weight) backward_weight_.emplace(weighted, *weighted.backward_weight, threads);
  }

  std::size_t scratch_bytes() const override {
    std::size_t bytes = forward_.scratch_bytes();
    if (backward_data_) bytes = std::max(bytes, backward_data_->scratch_bytes());
    if (backward_weight_) bytes = std::max(bytes, backward_weight_->scratch_bytes());
    return bytes;
  }

  std::size_t prepared_bytes(Pass pass) const override {
    if (pass == Pass::forward) return forward_.prepared_bytes();
    return backward_data_ ? backward_data_->prepared_bytes() : 0;
  }

  void prepare(Pass pass, std::array<const float*, max_parameters> parameters, std::byte* memory) override {
    if (pass == Pass::forward) {
      forward_.prepare(parameters[0], memory);
    } else if (backward_data_) {
      backward_data_->prepare(parameters[0], memory);
    }
  }

  void forward(const ForwardArguments& arguments) const override { forward_.run(arguments); }

  void backward(const BackwardArguments& arguments) const override {
    if (arguments.input_gradients[0] != nullptr) backward_data_.value().run(arguments);
    backward_weight_.value().run(arguments);
  }

  bool has_native_gradient() const override {
    return backward_weight_ && backward_weight_->has_native_gradient();
  }
  void plain_gradient(const float* native, float* plain, std::byte* scratch) const override {
    backward_weight_.value().to_plain()(0, {native, plain}, scratch);
  }

  std::vector<BarePrimitive> bare_primitives() const override {
    std::vector<BarePrimitive> primitives{forward_.bare()};
    if (backward_data_) primitives.push_back(backward_data_->bare());
    if (backward_weight_) primitives.push_back(backward_weight_->bare());
    return primitives;
  }

 private:
  Forward forward_;
  std::optional<BackwardData> backward_data_;
  std::optional<BackwardWeight> backward_weight_;
};

}  // namespace

dnnl::primitive_attr attributes(const Epilogue& epilogue) {
  dnnl::post_ops operations;
  if (epilogue.residual) operations.append_sum();
  // With slope 0 it would be max(x, 0), which is 0 of NaN. A smaller slope would bring denormals, which take
  // longer.
  constexpr float slope = 0x1p-64F;
  if (epilogue.relu) append_relu(operations, slope);
  dnnl::primitive_attr attributes = user_scratchpad();
  attributes.set_post_ops(operations);
  return attributes;
}

std::unique_ptr<Kernel> make_weighted(const Weighted& weighted, int threads) {
  return std::make_unique<WeightedKernel>(weighted, threads);
}

}  // namespace lockstep::onednn
