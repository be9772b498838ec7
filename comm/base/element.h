#pragma once

#include <cstddef>
#include <string_view>
#include <type_traits>

namespace lockstep {

// What a type is called when workers compare what they send each other.
template <class T>
constexpr std::string_view element_name() {
  if constexpr (std::is_same_v<T, std::byte>) return "byte";
  if constexpr (std::is_same_v<T, char>) return "char";
  if constexpr (std::is_same_v<T, float>) return "float";
  if constexpr (std::is_same_v<T, double>) return "double";
  if constexpr (std::is_integral_v<T> && std::is_signed_v<T>) return sizeof(T) == 8 ? "int64" : "int32";
  if constexpr (std::is_integral_v<T> && std::is_unsigned_v<T>) return sizeof(T) == 8 ? "uint64" : "uint32";
  return "other";
}

}  // namespace lockstep
