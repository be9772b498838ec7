# cpack reads this before it makes anything. Without dpkg-shlibdeps it would make a package that asks for no library.
if(CPACK_GENERATOR STREQUAL DEB)
  find_program(shlibdeps dpkg-shlibdeps)
  if(NOT shlibdeps)
    message(FATAL_ERROR "dpkg-shlibdeps, which tells what libraries a package needs, is not there: install dpkg-dev")
  endif()
endif()
