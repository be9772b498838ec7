#include <fmt/format.h>

#include "layers/ops/cpu/weighted.h"
#include "layers/ops/kernels.h"
#include "layers/ops/threads.h"

namespace lockstep {

using onednn::Desc;
using onednn::Memory;

std::unique_ptr<Kernel> make_linear(const Linear& linear, const KernelShape& shape) {
  check_compute_thread();
  constexpr auto f32 = Memory::data_type::f32;
  const auto element = onednn::type_of(shape.element);
  const Desc any({linear.out, linear.in}, element, Memory::format_tag::any);
  const Desc any_gradient({linear.out, linear.in}, f32, Memory::format_tag::any);

  onednn::Weighted w;
  w.what = fmt::format("linear {} to {} ({} samples)", linear.in, linear.out, shape.samples);
  w.source = Desc({shape.samples, linear.in}, element, Memory::format_tag::nc);
  w.weight = Desc({linear.out, linear.in}, f32, Memory::format_tag::oi);
  if (linear.bias) w.bias = Desc({linear.out}, f32, Memory::format_tag::x);
  w.destination = Desc({shape.samples, linear.out}, element, Memory::format_tag::nc);
  w.residual = shape.epilogue.residual;
  w.allow_reference = shape.allow_reference;

  const auto kind = shape.training ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference;
  const auto forward = onednn::describe_forward<dnnl::inner_product_forward>(
      onednn::attributes(shape.epilogue), kind, w.source, any, w.bias, w.destination);
  w.forward = forward;
  if (shape.training) {
    w.backward_data =
        onednn::describe_backward<dnnl::inner_product_backward_data>(forward, w.source, any, w.destination);
    w.backward_weight = onednn::describe_backward<dnnl::inner_product_backward_weights>(
        forward, w.source, any_gradient, w.bias, w.destination);
  }
  return onednn::make_weighted(w, shape.threads);
}

}  // namespace lockstep
