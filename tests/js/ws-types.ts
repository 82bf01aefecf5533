// The shape of ws's class, whose types are a package of their own.

export declare class WebSocket {
  constructor(address: string | URL, protocols?: string | string[], options?: object);
  close(): void;
}
