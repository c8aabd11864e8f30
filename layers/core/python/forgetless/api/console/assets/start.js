// Starts the console. If one of its files does not arrive, the page says so instead of staying empty.

import("./main.js").catch(() => {
  const note = document.querySelector(".starting p");
  if (!note) return;
  const vi = navigator.language?.toLowerCase().startsWith("vi");
  note.setAttribute("role", "alert");
  note.textContent = vi
    ? "Không tải được bảng điều khiển. Hãy kiểm tra dịch vụ có đang chạy không, rồi tải lại trang."
    : "The console could not be loaded. Check that the service runs, then reload the page.";
});
