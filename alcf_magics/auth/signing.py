from .credentials import GatewayAuth

__all__ = ["GatewayAuth"]
