"""An MJPEG camera on port 8090 that sends thirty frames and then keeps the connection open without a word."""

import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import cv2
import numpy as np

JPEG = cv2.imencode(".jpg", np.full((480, 640, 3), 90, np.uint8))[1].tobytes()


class Camera(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for _ in range(30):
            self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + JPEG + b"\r\n")
            time.sleep(0.05)
        time.sleep(600)


HTTPServer(("127.0.0.1", 8090), Camera).serve_forever()
