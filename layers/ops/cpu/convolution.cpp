#include <fmt/format.h>

#include "layers/ops/cpu/weighted.h"
#include "layers/ops/kernels.h"
#include "layers/ops/threads.h"

namespace lockstep {
namespace {

using onednn::Desc;
using onednn::Dims;
using onednn::Memory;

constexpr auto f32 = Memory::data_type::f32;
constexpr auto direct = dnnl::algorithm::convolution_direct;

Dims weight_dims(const Convolution& c) {
  if (c.groups == 1) return {c.out.channels, c.in.channels, c.kernel_height, c.kernel_width};
  return {c.groups, c.out.channels / c.groups, c.in.channels / c.groups, c.kernel_height, c.kernel_width};
}

std::string describe(const Convolution& c, std::int64_t samples) {
  return fmt::format("convolution {}x{} of {} to {} (stride {}, padding {}, groups {}, {} samples)",
                     c.kernel_height, c.kernel_width, to_string(c.in), to_string(c.out), c.stride, c.padding,
                     c.groups, samples);
}

}  // namespace

std::unique_ptr<Kernel> make_convolution(const Convolution& convolution, const KernelShape& shape) {
  check_compute_thread();
  const auto element = onednn::type_of(shape.element);
  const auto image = [&](const SampleShape& s) {
    return Desc({shape.samples, s.channels, s.height, s.width}, element, Memory::format_tag::nhwc);
  };
  const Dims weight = weight_dims(convolution);
  const auto plain = convolution.groups == 1 ? Memory::format_tag::oihw : Memory::format_tag::goihw;
  const Desc any(weight, element, Memory::format_tag::any);
  const Desc any_gradient(weight, f32, Memory::format_tag::any);
  const Dims stride{convolution.stride, convolution.stride};
  const Dims padding{convolution.padding, convolution.padding};

  onednn::Weighted w;
  w.what = describe(convolution, shape.samples);
  w.source = image(convolution.in);
  w.weight = Desc(weight, f32, plain);
  if (convolution.bias) w.bias = Desc({convolution.out.channels}, f32, Memory::format_tag::x);
  w.destination = image(convolution.out);
  w.residual = shape.epilogue.residual;
  w.allow_reference = shape.allow_reference;

  const auto kind = shape.training ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference;
  const auto forward = onednn::describe_forward<dnnl::convolution_forward>(
      onednn::attributes(shape.epilogue), kind, direct, w.source, any, w.bias, w.destination, stride, padding,
      padding);
  w.forward = forward;
  if (shape.training) {
    w.backward_data = onednn::describe_backward<dnnl::convolution_backward_data>(
        forward, direct, w.source, any, w.destination, stride, padding, padding);
    w.backward_weight = onednn::describe_backward<dnnl::convolution_backward_weights>(
        forward, direct, w.source, any_gradient, w.bias, w.destination, stride, padding, padding);
  }
  return onednn::make_weighted(w, shape.threads);
}

}  // namespace lockstep
