"""Print this computer's Vulkan devices, one `TYPE<tab>NAME` a line. Edge: the Vulkan loader.

A program of its own, since a driver that crashes must take only this process along; standard library only. Types are
those of VkPhysicalDeviceType; nothing is printed where there is no loader or no driver.
"""

import ctypes
import ctypes.util
import sys

TYPES = ("OTHER", "INTEGRATED_GPU", "DISCRETE_GPU", "VIRTUAL_GPU", "CPU")
INSTANCE_CREATE_INFO = 1
PROPERTIES_BYTES = 2048  # VkPhysicalDeviceProperties has 824 on 64-bit systems.
TYPE_OFFSET, NAME_OFFSET, NAME_BYTES = 16, 20, 256


class InstanceCreateInfo(ctypes.Structure):
    """VkInstanceCreateInfo: all that is not its type stays zero."""

    _fields_ = (
        ("sType", ctypes.c_uint32),
        ("pNext", ctypes.c_void_p),
        ("flags", ctypes.c_uint32),
        ("pApplicationInfo", ctypes.c_void_p),
        ("enabledLayerCount", ctypes.c_uint32),
        ("ppEnabledLayerNames", ctypes.c_void_p),
        ("enabledExtensionCount", ctypes.c_uint32),
        ("ppEnabledExtensionNames", ctypes.c_void_p),
    )


def devices() -> list[tuple[str, str]]:
    """(type, name) of each device; empty if the loader or every driver is missing."""
    library = ctypes.util.find_library("vulkan") or "libvulkan.so.1"
    try:
        vulkan = ctypes.CDLL(library)
    except OSError:
        return []
    vulkan.vkEnumeratePhysicalDevices.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    vulkan.vkGetPhysicalDeviceProperties.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    instance, count = ctypes.c_void_p(), ctypes.c_uint32()
    if vulkan.vkCreateInstance(ctypes.byref(InstanceCreateInfo(INSTANCE_CREATE_INFO)), None, ctypes.byref(instance)):
        return []
    vulkan.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), None)
    handles = (ctypes.c_void_p * count.value)()
    vulkan.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), handles)
    return [_described(vulkan, handle) for handle in handles[: count.value]]


def _described(vulkan: ctypes.CDLL, handle: int | None) -> tuple[str, str]:
    properties = ctypes.create_string_buffer(PROPERTIES_BYTES)
    vulkan.vkGetPhysicalDeviceProperties(handle, properties)
    kind = int.from_bytes(properties.raw[TYPE_OFFSET : TYPE_OFFSET + 4], sys.byteorder)
    name = properties.raw[NAME_OFFSET : NAME_OFFSET + NAME_BYTES].split(b"\0")[0]
    return TYPES[kind if kind < len(TYPES) else 0], name.decode(errors="replace")


if __name__ == "__main__":
    for line in devices():
        print(*line, sep="\t")
